"""Drop, double or swap characters, in any script: the typing errors that `Modality.corrupt` makes for robustness tests.

For texts that will come with typing errors; on clean texts little is to be won.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy
from annotated_types import Gt, Le

from jishi.core import registry
from jishi.core.contracts import Augmentation, Modality, option


@dataclass(frozen=True)
class TypingErrors(Augmentation):
    """A share of the characters is dropped, doubled, or swapped with the next."""

    modality = "text"

    share: Annotated[float, Gt(0), Le(1)] = option(
        0.5,
        "Share of the rows that are varied, drawn anew each epoch.",
        "被变换的行所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    rate: Annotated[float, Gt(0), Le(0.5)] = option(
        0.05, "Share of the characters that are mistyped.", "输错的字符所占比例。"
    )

    def vary(self, raw: str, rng: numpy.random.Generator) -> str:
        varied: Any = registry.get(Modality, self.modality)().corrupt(raw, 2 * self.rate, rng)
        return varied if varied.strip() else raw
