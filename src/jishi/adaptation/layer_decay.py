"""Train every weight, the lower the slower (ULMFiT, arXiv:1801.06146; its use for BERT: arXiv:2006.05987).

The lower blocks hold what is general; a high rate there forgets it. Worth trying where `full` is unsteady on few rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Gt, Le

from jishi.core.contracts import Adaptation, Objective, option
from jishi.core.errors import ModelError
from jishi.models import heads


@dataclass(frozen=True)
class LayerDecay(Adaptation):
    """Every weight learns; the rate of each block is that of the block above it times `decay`."""

    learning_rate = 1e-4

    decay: Annotated[float, Gt(0), Le(1)] = option(
        0.9,
        "A block's learning rate over that of the block above; the head has the full rate.",
        "每层学习率与其上一层之比；分类头使用完整学习率。",
    )

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        if not heads.depths(model):
            raise ModelError("adaptation.no-blocks", given=type(model).__name__)
        return model

    def rates(self, model: Any, progress: float) -> Mapping[str, float]:  # noqa: ARG002
        return {name: self.decay**depth for name, depth in heads.depths(model).items()}
