"""Train two thin matrices beside every weight instead of the weight (LoRA, arXiv:2106.09685), and fold them in at the end."""

import warnings
from dataclasses import dataclass
from typing import Any

from jishi.core.contracts import Adaptation, Objective, option
from jishi.core.errors import ModelError, did_you_mean
from jishi.models import heads


@dataclass(frozen=True)
class LoRA(Adaptation):
    """The head learns in full; every linear layer of the backbone learns a change of low rank."""

    learning_rate = 1e-3

    rank: int = option(
        8, "Rank of the change: its capacity.", "低秩矩阵的秩，即可学习的容量。", aliases=("r", "lora_r")
    )
    alpha: float = option(
        16.0,
        "The change is multiplied by alpha / rank.",
        "增量的缩放系数（乘以 alpha / rank）。",
        aliases=("lora_alpha",),
    )
    dropout: float = option(
        0.05, "Dropout before the thin matrices.", "低秩分支前的 dropout。", aliases=("lora_dropout",)
    )
    target: str | list[str] = option(
        "auto",
        "Names of the layers to adapt (query, value, …); auto: every linear layer of the backbone.",
        "要适配的层名（如 query、value）；auto 表示骨干网络的全部线性层。",
        aliases=("target_modules", "lora_target"),
    )

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        import peft

        config = peft.LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self._layers(model),
            modules_to_save=heads.fresh(model) or None,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft's, not the user's
            return peft.get_peft_model(model, config)

    def _layers(self, model: Any) -> list[str]:
        """Full names of the layers to adapt. Raises ModelError where a name asked for is no layer of the model."""
        head, output = heads.head_modules(model), model.get_output_embeddings()  # the latter is often the embedding too
        found = [
            name
            for name, module in model.named_modules()
            if _fits(module)
            and module is not output
            and not any(name == part or name.startswith(f"{part}.") for part in head)
        ]
        wanted = [self.target] if isinstance(self.target, str) else self.target
        if wanted != ["auto"]:
            kinds = {name.rpartition(".")[2] for name in found}
            for name in wanted:
                if not any(full == name or full.endswith(f".{name}") for full in found):
                    raise ModelError(
                        "adaptation.no-such-layer",
                        given=name,
                        hint=did_you_mean(name, kinds),
                        allowed=", ".join(sorted(kinds)),
                    )
            found = [full for full in found if any(full == name or full.endswith(f".{name}") for name in wanted)]
        if not found:
            raise ModelError("adaptation.no-linear-layer", given=type(model).__name__)
        return found

    def merge(self, model: Any) -> Any:
        return model.merge_and_unload()


def _fits(module: Any) -> bool:
    """Linear layers, and convolutions that are not split into groups."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, torch.nn.Linear | Conv1D) or (isinstance(module, torch.nn.Conv2d) and module.groups == 1)
