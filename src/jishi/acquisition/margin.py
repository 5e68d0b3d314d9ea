"""Rows between two labels (Scheffer, Decomain and Wrobel 2001): cheap, and hard to beat (arXiv:2302.03478)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from jishi.acquisition import _apart, _uncertain
from jishi.core.contracts import Acquisition, Unlabelled


@dataclass(frozen=True)
class Margin(Acquisition):
    """The least lead of the likeliest label over the next, nearly equal rows left for later."""

    def choose(self, rows: Unlabelled, count: int, rng: numpy.random.Generator) -> Sequence[int]:  # noqa: ARG002
        return _apart.best(-_uncertain.lead(rows), count, rows.vectors)
