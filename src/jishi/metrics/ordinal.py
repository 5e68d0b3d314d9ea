"""Scores of answers that are grades in order."""

from collections.abc import Sequence

import numpy


def ordinal(truth: Sequence[int], given: Sequence[int]) -> dict[str, float]:
    """Kappa with quadratic weights (Cohen 1968), and the mean absolute error, of grades as places from 0.

    Kappa is 1 less the mean squared error over that of the same grades and answers paired at random: 0 where the answers say
    nothing of the grades, and where all are the same.
    """
    y, z = numpy.asarray(truth, float), numpy.asarray(given, float)
    if not len(y):
        return {"quadratic_kappa": 0.0, "mae": 0.0}
    chance = float(y.var() + z.var() + (y.mean() - z.mean()) ** 2)
    kappa = 1 - float(numpy.mean((y - z) ** 2)) / chance if chance > 0 else 0.0
    return {"quadratic_kappa": kappa, "mae": float(numpy.mean(numpy.abs(y - z)))}
