"""Put words in the place of others that mean the same, from tables of some two hundred Chinese and English words each.

For few labelled rows of everyday, customer or shopping texts; a text of which no word is known stays as it is.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Gt, Le

from jishi.augmentation import _synonyms
from jishi.core.contracts import Augmentation, option


@dataclass(frozen=True)
class Synonym(Augmentation):
    """Replaces a share of the known words of a text, one at least. The tables are Jishi's own."""

    modality = "text"

    share: Annotated[float, Gt(0), Le(1)] = option(
        0.5,
        "Share of the rows that are varied, drawn anew each epoch.",
        "被变换的行所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    rate: Annotated[float, Gt(0), Le(1)] = option(
        0.3, "Share of the known words that are replaced.", "被替换的已知词所占比例。"
    )

    def vary(self, raw: str, rng: numpy.random.Generator) -> str:
        known = len(_synonyms.places(raw))
        return _synonyms.replaced(raw, max(1, round(self.rate * known)), rng)
