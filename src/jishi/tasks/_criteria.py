"""What each loss of sentence vectors asks of the rows; the losses themselves are in `_contrast`."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Criterion:
    """What a loss needs of every row."""

    needs: str  # a column, or "pair": a second text
    joint: bool = True  # rows are held against each other
    twice: bool = False  # the first text of a row is read once more


CRITERIA: Mapping[str, Criterion] = {
    "cosine": Criterion("score", joint=False),
    "cosent": Criterion("score"),
    "contrastive": Criterion("pair"),
    "simcse": Criterion("text", twice=True),
    "triplet": Criterion("negative", joint=False),
}
