"""Bootstrap: how far a score might move had other rows been drawn (Efron & Tibshirani 1993, chapters 13 and 14)."""

import time
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

LEAST = 100  # resamples between two looks at the clock
MANY = 500  # replicates from which percentiles are better than a standard error

Statistic = Callable[[np.ndarray], Any]  # row indices (n,) → a number, or an array of numbers


def replicate(
    statistic: Statistic, rows: int, *, resamples: int = 1000, seed: int = 0, seconds: float = 3.0
) -> np.ndarray:
    """The statistic of `resamples` draws of `rows` row indices with replacement: (resamples, …).

    Where that takes longer than `seconds`, drawing stops at the next whole hundred. Fewer are the beginning of more, so
    the answer depends on the seed and on their number alone.
    """
    rng = np.random.default_rng(seed)
    found: list[Any] = []
    begin = time.perf_counter()
    while len(found) < resamples:
        found += [statistic(rng.integers(0, rows, rows)) for _ in range(min(LEAST, resamples - len(found)))]
        if time.perf_counter() - begin > seconds:
            break
    return np.asarray(found, dtype=float)


def interval(replicates: np.ndarray, value: float, level: float = 0.95) -> tuple[float, float]:
    """The bias-corrected percentile interval of `value` from its replicates (n,).

    The correction matters for averages over classes: a resample misses rare classes, so that its score sits below the
    true one. Percentiles want many replicates, a standard error few (Efron & Tibshirani 1993, 6.4): under 500 the interval
    is `value` ± z standard errors, kept within 0 and 1 where the replicates are. NaN replicates (a score undefined on a
    resample) are left out.
    """
    known = replicates[~np.isnan(replicates)]
    if not len(known):
        return value, value
    normal = NormalDist()
    tail = normal.inv_cdf((1 + level) / 2)
    if len(known) < MANY:
        half = tail * float(known.std())
        bounds = (0.0, 1.0) if known.min() >= 0 and known.max() <= 1 else (-np.inf, np.inf)
        return max(value - half, min(bounds[0], value)), min(value + half, max(bounds[1], value))
    below = (np.count_nonzero(known < value) + np.count_nonzero(known <= value)) / 2  # ties count as half
    bias = normal.inv_cdf(min(max(below, 0.5), len(known) - 0.5) / len(known))
    low, high = np.quantile(known, [normal.cdf(2 * bias - tail), normal.cdf(2 * bias + tail)])
    return float(min(low, value)), float(max(high, value))


def confidence(
    statistic: Callable[[np.ndarray], float], rows: int, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Value, low and high of one statistic over `rows` rows."""
    value = float(statistic(np.arange(rows)))
    return value, *interval(replicate(statistic, rows, resamples=resamples, seed=seed), value, level)
