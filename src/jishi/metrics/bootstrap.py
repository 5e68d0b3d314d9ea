"""Bootstrap: how far a score might move had other rows been drawn (Efron & Tibshirani 1993, chapters 13 and 14)."""

import time
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

LEAST = 100  # fewer resamples than this say nothing of a 95 % interval

Statistic = Callable[[np.ndarray], Any]  # row indices (n,) → a number, or an array of numbers


def replicate(
    statistic: Statistic, rows: int, *, resamples: int = 1000, seed: int = 0, seconds: float = 3.0
) -> np.ndarray:
    """The statistic of `resamples` draws of `rows` row indices with replacement: (resamples, …).

    Where so many would take longer than about `seconds`, fewer are drawn: whole hundreds, never under 100. Fewer are
    the beginning of more, so the answer depends on the seed and on that number alone.
    """
    rng = np.random.default_rng(seed)

    def draw() -> Any:
        return statistic(rng.integers(0, rows, rows))

    begin = time.perf_counter()
    found = [draw() for _ in range(min(3, resamples))]
    affordable = seconds / max((time.perf_counter() - begin) / len(found), 1e-9)
    if affordable < resamples:
        resamples = min(resamples, max(LEAST, int(affordable) // LEAST * LEAST))
    found += [draw() for _ in range(resamples - len(found))]
    return np.asarray(found, dtype=float)


def interval(replicates: np.ndarray, value: float, level: float = 0.95) -> tuple[float, float]:
    """The bias-corrected percentile interval of `value` from its replicates (n,).

    The correction matters for averages over classes: a resample misses rare classes, so that its score sits below the
    true one. NaN replicates (a score undefined on a resample) are left out.
    """
    known = np.sort(replicates[~np.isnan(replicates)])
    if not len(known):
        return value, value
    below = (np.count_nonzero(known < value) + np.count_nonzero(known <= value)) / 2  # ties count as half
    normal = NormalDist()
    bias = normal.inv_cdf(min(max(below, 0.5), len(known) - 0.5) / len(known))
    tail = normal.inv_cdf((1 + level) / 2)
    low, high = np.quantile(known, [normal.cdf(2 * bias - tail), normal.cdf(2 * bias + tail)])
    return float(min(low, value)), float(max(high, value))


def confidence(
    statistic: Callable[[np.ndarray], float], rows: int, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Value, low and high of one statistic over `rows` rows."""
    value = float(statistic(np.arange(rows)))
    return value, *interval(replicate(statistic, rows, resamples=resamples, seed=seed), value, level)
