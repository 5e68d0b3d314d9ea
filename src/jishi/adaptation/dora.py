"""LoRA for a weight's direction, and one number a row for its length (DoRA, arXiv:2402.09353); folded in at the end.

Closer to full fine-tuning than `lora` at low ranks, and about twice as slow a step: every weight's norm is worked out anew.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Lt

from jishi.adaptation import _peft
from jishi.core.contracts import Adaptation, Objective, option
from jishi.models import heads


@dataclass(frozen=True)
class DoRA(Adaptation):
    """The head learns in full; every linear layer of the backbone learns a change of low rank and the lengths of its rows."""

    learning_rate = 1e-3

    rank: Annotated[int, Ge(1)] = option(
        8, "Rank of the change: its capacity.", "低秩矩阵的秩，即可学习的容量。", aliases=("r",)
    )
    alpha: float = option(16.0, "The change is multiplied by alpha / rank.", "增量的缩放系数（乘以 alpha / rank）。")
    dropout: Annotated[float, Ge(0), Lt(1)] = option(
        0.05, "Dropout before the thin matrices.", "低秩分支前的 dropout。"
    )
    target: str | list[str] = option(
        "auto",
        "Names of the layers to adapt (query, value, …); auto: every linear layer of the backbone.",
        "要适配的层名（如 query、value）；auto 表示骨干网络的全部线性层。",
        aliases=("target_modules",),
    )

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        import peft

        config = peft.LoraConfig(
            use_dora=True,
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=_peft.targets(model, self.target, convolutions=False),
            modules_to_save=heads.fresh(model) or None,
        )
        return _peft.wrap(model, config)

    def merge(self, model: Any) -> Any:
        return model.merge_and_unload()
