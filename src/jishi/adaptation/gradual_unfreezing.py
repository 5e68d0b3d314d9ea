"""Begin with the head, and let one block after another join from the top (ULMFiT, arXiv:1801.06146).

What is general below is not disturbed while the head is still random. It saves no time: what waits is computed as ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Gt, Le

from jishi.core.contracts import Adaptation, Objective, option
from jishi.core.errors import ModelError
from jishi.models import heads


@dataclass(frozen=True)
class GradualUnfreezing(Adaptation):
    """The head learns from the start, the blocks one after another from the top, and all of them once `share` is over."""

    learning_rate = 5e-5

    share: Annotated[float, Gt(0), Le(1)] = option(
        0.5, "Part of the training over which the blocks join.", "各层依次解冻所占的训练比例。"
    )

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        if not heads.depths(model):
            raise ModelError("adaptation.no-blocks", given=type(model).__name__)
        return model

    def rates(self, model: Any, progress: float) -> Mapping[str, float]:
        depths = heads.depths(model)
        joined = progress / self.share * max(depths.values())  # steps down from the head
        return {name: float(depth <= joined) for name, depth in depths.items()}
