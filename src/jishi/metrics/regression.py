"""Scores of answers that are numbers."""

from collections.abc import Sequence

import numpy


def regression(truth: Sequence[float], given: Sequence[float]) -> dict[str, float]:
    """Pearson's and Spearman's correlation, root mean squared and mean absolute error."""
    y, z = numpy.asarray(truth, float), numpy.asarray(given, float)
    error = z - y
    return {
        "pearson": pearson(y, z),
        "spearman": pearson(ranks(y), ranks(z)),
        "rmse": float(numpy.sqrt(numpy.mean(error**2))) if len(y) else 0.0,
        "mae": float(numpy.mean(numpy.abs(error))) if len(y) else 0.0,
    }


def pearson(first: Sequence[float] | numpy.ndarray, second: Sequence[float] | numpy.ndarray) -> float:
    """The linear correlation, 0 where either side is constant."""
    y, z = numpy.asarray(first, float), numpy.asarray(second, float)
    if len(y) < 2:
        return 0.0
    y, z = y - y.mean(), z - z.mean()
    scale = float(numpy.sqrt((y @ y) * (z @ z)))
    return float(y @ z / scale) if scale > 0 else 0.0


def ranks(values: Sequence[float] | numpy.ndarray) -> numpy.ndarray:
    """Ranks from 1; equal values share the mean of their places."""
    _, inverse, counts = numpy.unique(numpy.asarray(values, float), return_inverse=True, return_counts=True)
    last = numpy.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
