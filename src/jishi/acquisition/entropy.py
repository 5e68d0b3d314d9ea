"""Rows whose answer is least certain over all labels (Shannon 1948; Settles 2009, section 3.1).

With many labels it favours rows that are a little like everything; `margin` those between two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from jishi.acquisition import _apart, _uncertain
from jishi.core.contracts import Acquisition, Unlabelled


@dataclass(frozen=True)
class Entropy(Acquisition):
    """The greatest entropy of the label's probabilities, nearly equal rows left for later."""

    def choose(self, rows: Unlabelled, count: int, rng: numpy.random.Generator) -> Sequence[int]:  # noqa: ARG002
        return _apart.best(_uncertain.entropy(rows.probabilities, rows.several), count, rows.vectors)
