"""Small two-layer networks behind the sublayers of every block (Houlsby, arXiv:1902.00751; Pfeiffer, arXiv:2005.00247).

They are nonlinear, so they can't be folded in: a bundle keeps them beside the plain model, and answers take a little longer.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge

from jishi.adaptation import _bottleneck
from jishi.core.contracts import Adaptation, Objective, option
from jishi.models import adapters, heads


@dataclass(frozen=True)
class BottleneckAdapter(Adaptation):
    """The head learns in full, and an adapter behind the feed-forward layer of each block, or behind its attention too."""

    learning_rate = 3e-3
    beside = True

    width: Annotated[int, Ge(1)] = option(
        32, "Width of the adapters: their capacity.", "适配器的宽度，即可学习的容量。", aliases=("bottleneck_size",)
    )
    place: Literal["feed-forward", "both"] = option(
        "feed-forward",
        "Behind the feed-forward layer alone (Pfeiffer), or behind the attention too (both, Houlsby).",
        "仅置于前馈层之后（Pfeiffer），或同时置于注意力之后（both，Houlsby）。",
    )

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        heads.freeze(model)
        for sublayer in _bottleneck.places(model):
            if sublayer.attention is None or self.place == "both":
                adapters.attach(sublayer.last, _bottleneck.Behind(sublayer.last, self.width))
        return model
