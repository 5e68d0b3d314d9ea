"""One of four small changes a row: synonyms put in or added, words swapped or left out (EDA, arXiv:1901.11196).

The paper makes several copies of each row beforehand; here each epoch draws anew. It won most with 500 rows and networks that
had learnt nothing before; a pretrained model knows much of it (arXiv:2010.01764).
"""

from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Gt, Le

from jishi.augmentation import _synonyms, _units
from jishi.core.contracts import Augmentation, option


@dataclass(frozen=True)
class EDA(Augmentation):
    """Replaces, inserts, swaps or drops `rate` of the words; which of the four is drawn.

    Where words have no spaces, characters change places with the next one, and known words are what is replaced and inserted.
    """

    modality = "text"

    share: Annotated[float, Gt(0), Le(1)] = option(
        0.5,
        "Share of the rows that are varied, drawn anew each epoch.",
        "被变换的行所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    rate: Annotated[float, Gt(0), Le(0.5)] = option(
        0.1, "Share of a text's words that each change touches.", "每种变换所涉及的词的比例。", aliases=("alpha",)
    )

    def vary(self, raw: str, rng: numpy.random.Generator) -> str:
        count = max(1, int(self.rate * len(_units.units(raw))))
        change = int(rng.integers(4))
        if change == 0:
            return _synonyms.replaced(raw, count, rng)
        if change == 1:
            return inserted(raw, count, rng)
        return swapped(raw, count, rng) if change == 2 else _units.dropped(raw, self.rate, rng)


def inserted(text: str, count: int, rng: numpy.random.Generator) -> str:
    """The text with `count` words more, each standing for one of those it has: between any two words, or, where words have no
    spaces, beside a known one."""
    known, spaced = _synonyms.places(text), _units.spaced(text)
    edges = [edge for place in known for edge in (place.start, place.end)]
    free = _units.starts(text) if spaced else edges
    added = []
    for _ in range(count if known else 0):
        word = _synonyms.drawn(known[int(rng.integers(len(known)))], rng)
        added.append((free[int(rng.integers(len(free)))], f"{word} " if spaced else word))
    for place, word in sorted(added, reverse=True):
        text = text[:place] + word + text[place:]
    return text


def swapped(text: str, count: int, rng: numpy.random.Generator) -> str:
    """The text with the words of `count` pairs in each other's place, of characters those that stand together."""
    parts = _units.units(text)
    for _ in range(count if len(parts) > 1 else 0):
        if _units.spaced(text):
            one, other = rng.choice(len(parts), 2, replace=False).tolist()
        else:
            one = int(rng.integers(len(parts) - 1))
            other = one + 1
        left, right = parts[one].rstrip(), parts[other].rstrip()  # the space behind a word stays where it is
        parts[one], parts[other] = right + parts[one][len(left) :], left + parts[other][len(right) :]
    return _units.joined(parts, text)
