"""A text as what may be dropped or moved: words with the space behind them, characters where words have no spaces."""

import re
from collections.abc import Sequence

import numpy

from jishi.core.script import spaceless

# Without them a text may say the contrary.
NEGATIONS = frozenset(
    (
        "not",
        "no",
        "never",
        "nor",
        "none",
        "nothing",
        "without",
        "cannot",
        "can't",
        "don't",
        "won't",
        *"不没无未非别勿莫否",
    )
)
_WORD = re.compile(r"\S+\s*")
_EDGES = re.compile(r"^\W+|\W+$")


def spaced(text: str) -> bool:
    return not spaceless(text)


def units(text: str) -> list[str]:
    return _WORD.findall(text) if spaced(text) else list(text)


def starts(text: str) -> list[int]:
    """Where the words of a text begin."""
    return [match.start() for match in _WORD.finditer(text)]


def joined(parts: Sequence[str], text: str) -> str:
    """The parts as one text; the text itself where they are nothing but space."""
    return "".join(parts).strip() or text


def dropped(text: str, rate: float, rng: numpy.random.Generator) -> str:
    """The text without a share of its units, never all of them, and never without a negation."""
    parts = units(text)
    kept = [part for part, chance in zip(parts, rng.random(len(parts)), strict=True) if chance >= rate or denies(part)]
    return joined(kept, text)


def denies(part: str) -> bool:
    word = _EDGES.sub("", part).lower()
    return word in NEGATIONS or word.endswith(("n't", "n’t"))
