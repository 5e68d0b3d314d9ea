"""Small two-layer networks beside the feed-forward layer of every block, reading what it reads (arXiv:2110.04366).

The study above found them the better of the adapters at the same size. They can't be folded in: a bundle keeps them beside the
plain model, and answers take a little longer.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from jishi.adaptation import _bottleneck
from jishi.core.contracts import Adaptation, Objective, option
from jishi.models import adapters, heads


@dataclass(frozen=True)
class ParallelAdapter(Adaptation):
    """The head learns in full, and an adapter beside the feed-forward layer of each block."""

    learning_rate = 1e-3
    beside = True

    width: Annotated[int, Ge(1)] = option(
        32, "Width of the adapters: their capacity.", "适配器的宽度，即可学习的容量。", aliases=("bottleneck_size",)
    )
    scale: float = option(4.0, "What they say is multiplied by this.", "适配器输出的缩放系数。")

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        heads.freeze(model)
        for sublayer in _bottleneck.places(model):
            if sublayer.attention is None:
                adapters.attach(sublayer.last, _bottleneck.Beside(sublayer, self.width, self.scale))
        return model
