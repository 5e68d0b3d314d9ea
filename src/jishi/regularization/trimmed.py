"""Leave the labels of each batch out that the model finds the least likely (trimmed loss, arXiv:1810.11874): for wrong labels.

A model learns what is regular first, so early on the largest losses are mostly mistakes; rare classes suffer with them. The share
should be near that of wrong labels, which `jishi evaluate`'s bad cases help to guess.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Lt

from jishi.core.contracts import Batch, Loss, Regularization, option
from jishi.regularization import _likelihood
from jishi.regularization._shift import Ask


@dataclass(frozen=True)
class Trimmed(Regularization):
    """The mean loss without the labels whose loss is the largest."""

    replaces = True

    share: Annotated[float, Ge(0), Lt(1)] = option(0.1, "Share of a batch that is left out.", "每批中舍去的比例。")

    def loss(self, model: Any, batch: Batch, ask: Ask) -> Loss:  # noqa: ARG002
        found = ask(batch)
        _, likely = _likelihood.of_labels(found, batch)
        kept = likely.detach().argsort(descending=True)[: len(likely) - int(self.share * len(likely))]
        return _likelihood.mean(found, -likely[kept])
