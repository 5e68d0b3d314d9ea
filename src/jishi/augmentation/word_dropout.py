"""Leave words out, characters where words have no spaces (the deletion of arXiv:1901.11196); what negates stays.

The cheapest way to vary a text: keeps a model from hanging on to single words where labelled rows are few.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Gt, Le, Lt

from jishi.augmentation import _units
from jishi.core.contracts import Augmentation, option


@dataclass(frozen=True)
class WordDropout(Augmentation):
    """Drops each word with the same probability, never all."""

    modality = "text"

    share: Annotated[float, Gt(0), Le(1)] = option(
        0.5,
        "Share of the rows that are varied, drawn anew each epoch.",
        "被变换的行所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    rate: Annotated[float, Gt(0), Lt(1)] = option(
        0.1, "Probability with which a word is left out.", "每个词被删去的概率。"
    )

    def vary(self, raw: str, rng: numpy.random.Generator) -> str:
        return _units.dropped(raw, self.rate, rng)
