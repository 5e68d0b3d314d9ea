"""A confidence interval for a share of rows, exact enough for twenty of them."""

from math import sqrt
from statistics import NormalDist


def wilson(mean: float, rows: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a mean of `rows` credits in [0, 1] (Wilson 1927).

    Sensible where every row is right. For credits between 0 and 1 it is conservative: their variance is at most that of
    0/1 credits with the same mean.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (mean + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * sqrt(mean * (1 - mean) / rows + z * z / (4 * rows * rows))
    return max(0.0, min(centre - half, mean)), min(1.0, max(centre + half, mean))
