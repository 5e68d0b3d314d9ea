"""Any rows: what every other way is held against, and what the first labels and a test set should be drawn by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from jishi.core.contracts import Acquisition, Unlabelled


@dataclass(frozen=True)
class AtRandom(Acquisition):
    """Rows drawn at random, whatever the model says."""

    def choose(self, rows: Unlabelled, count: int, rng: numpy.random.Generator) -> Sequence[int]:
        return rng.permutation(len(rows.probabilities))[:count].tolist()
