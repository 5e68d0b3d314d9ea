"""Hit the key beside the right one: typing errors of Latin letters (arXiv:1711.02173).

Each letter gives way to one, so it may be used where answers are marked in a text. Chinese is typed by sound: see `homophone`.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Gt, Le

from jishi.core.contracts import Augmentation, option

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # each lies half a key to the right of the one above it


def _beside() -> dict[str, str]:
    """Letter → those that touch it."""
    keys = {key: (number, 2 * place + number) for number, row in enumerate(ROWS) for place, key in enumerate(row)}
    return {
        key: "".join(
            other for other, (down, across) in keys.items()
            if (abs(down - row) == 1 and abs(across - column) == 1) or (down == row and abs(across - column) == 2)
        )
        for key, (row, column) in keys.items()
    }  # fmt: skip


BESIDE = _beside()


@dataclass(frozen=True)
class Keyboard(Augmentation):
    """Replaces a share of the letters by a neighbour on a QWERTY keyboard, one at least."""

    modality = "text"
    in_place = True

    share: Annotated[float, Gt(0), Le(1)] = option(
        0.5,
        "Share of the rows that are varied, drawn anew each epoch.",
        "被变换的行所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    rate: Annotated[float, Gt(0), Le(1)] = option(
        0.05, "Share of a text's letters that are replaced.", "文本中被替换的字母所占比例。"
    )

    def vary(self, raw: str, rng: numpy.random.Generator) -> str:
        characters = list(raw)
        letters = [place for place, character in enumerate(characters) if character.lower() in BESIDE]
        for place in rng.permutation(letters)[: max(1, round(self.rate * len(letters)))].tolist():
            given = characters[place]
            others = BESIDE[given.lower()]
            other = others[int(rng.integers(len(others)))]
            characters[place] = other.upper() if given.isupper() else other
        return "".join(characters)
