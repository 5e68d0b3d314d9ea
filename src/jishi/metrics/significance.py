"""Is one system better than another on the same rows, or was it luck? Two paired tests, both two-sided."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from jishi.metrics.bootstrap import MANY


def mcnemar(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float:
    """The exact p-value of McNemar's test (1947) for 0/1 credits of the same rows.

    Only rows that one system has right and the other wrong speak: under the null each side of those is a coin toss.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    wins, losses = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(~first & second))
    tosses = wins + losses
    ways = tail = 1  # of tossing no head; then of at most k heads
    for k in range(1, min(wins, losses) + 1):
        ways = ways * (tosses - k + 1) // k
        tail += ways
    return min(1.0, 2 * tail / 2**tosses)


def paired_bootstrap(differences: np.ndarray, difference: float) -> float:
    """The p-value of a metric `difference` from its replicates (n,), both systems scored on the same resamples.

    Twice the share of resamples on the wrong side of zero, the observed set counted among them so that p is never 0
    (Koehn 2004; Davison & Hinkley 1997, 4.2.5). Too few replicates to count with give a standard error and a z-test.
    """
    known = differences[~np.isnan(differences)]
    if len(known) < MANY and known.any() and (error := float(known.std())):
        return 2 * NormalDist().cdf(-abs(difference) / error)
    wrong = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return min(1.0, 2 * (int(wrong) + 1) / (len(known) + 1))
