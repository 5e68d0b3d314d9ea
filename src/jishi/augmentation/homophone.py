"""Write Chinese characters as others that sound alike, as who types by sound, or dictates, does.

Each character gives way to one, so it may be used where answers are marked in a text.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy
from annotated_types import Gt, Le

from jishi.core.contracts import Augmentation, option


@dataclass(frozen=True)
class Homophone(Augmentation):
    """Replaces a share of the characters of which the table knows others of the same syllable, one at least."""

    modality = "text"
    in_place = True

    share: Annotated[float, Gt(0), Le(1)] = option(
        0.5,
        "Share of the rows that are varied, drawn anew each epoch.",
        "被变换的行所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    rate: Annotated[float, Gt(0), Le(1)] = option(
        0.05, "Share of a text's characters that are replaced.", "文本中被替换的字符所占比例。"
    )

    def vary(self, raw: str, rng: numpy.random.Generator) -> str:
        characters = list(raw)
        known = [place for place, character in enumerate(characters) if character in _alike()]
        for place in rng.permutation(known)[: max(1, round(self.rate * len(raw)))].tolist():
            others = _alike()[characters[place]]
            characters[place] = others[int(rng.integers(len(others)))]
        return "".join(characters)


@cache
def _alike() -> dict[str, str]:
    """Character → the others of its syllable, tones aside."""
    text = (Path(__file__).parent / "_homophones.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {one: line.replace(one, "") for line in lines for one in line}
