"""What more labelled rows would bring: a power law through the scores that fewer have brought (arXiv:1712.00409)."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import nnls

SLOPES = np.geomspace(0.05, 2.0, 100)
LEAST = 3  # points a law of three numbers is drawn through


def extrapolate(rows: Sequence[int], scores: Sequence[float]) -> Callable[[int], float] | None:
    """The score of so many rows: 1 − (a + b · rows^−c) with a, b ≥ 0, by least squares. None where there are too few points.

    Scores are at most 1, and the higher, the better.
    """
    if len(set(rows)) < LEAST:
        return None
    counts, errors = np.asarray(rows, float), 1 - np.asarray(scores, float)

    def fitted(slope: float) -> tuple[float, float, np.ndarray]:
        weights, residual = nnls(np.stack([np.ones_like(counts), counts**-slope], 1), errors)
        return float(residual), slope, weights

    _, slope, (floor, height) = min((fitted(float(one)) for one in SLOPES), key=lambda found: found[0])
    return lambda count: float(1 - floor - height * float(count) ** -slope)
