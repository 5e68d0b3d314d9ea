"""Train two thin matrices beside every weight instead of the weight (LoRA, arXiv:2106.09685), and fold them in at the end."""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Lt

from jishi.adaptation import _peft
from jishi.core.contracts import Adaptation, Objective, option
from jishi.models import heads


@dataclass(frozen=True)
class LoRA(Adaptation):
    """The head learns in full; every linear layer of the backbone learns a change of low rank."""

    learning_rate = 1e-3

    rank: Annotated[int, Ge(1)] = option(
        8, "Rank of the change: its capacity.", "低秩矩阵的秩，即可学习的容量。", aliases=("r", "lora_r")
    )
    alpha: float = option(
        16.0,
        "The change is multiplied by alpha / rank.",
        "增量的缩放系数（乘以 alpha / rank）。",
        aliases=("lora_alpha",),
    )
    dropout: Annotated[float, Ge(0), Lt(1)] = option(
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
            target_modules=_peft.targets(model, self.target),
            modules_to_save=heads.fresh(model) or None,
        )
        return _peft.wrap(model, config)

    def merge(self, model: Any) -> Any:
        return model.merge_and_unload()
