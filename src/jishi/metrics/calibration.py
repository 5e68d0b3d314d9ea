"""Does a confidence of 0.9 mean right nine times in ten? Bins of equal mass (arXiv:1706.04599, arXiv:1909.10155)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jishi.metrics.proportion import wilson

Values = Sequence[float] | np.ndarray


def reliability(confidences: Values, credits: Values, *, bins: int = 15, level: float = 0.95) -> list[dict[str, Any]]:
    """Bins of about equal mass, from the least sure to the surest, of at least ten rows each.

    Equal confidences share a bin, so the order of the rows does not matter. Each bin holds `rows`, mean `confidence`,
    `accuracy` with its Wilson interval `low` and `high`, and where it begins and ends (`first`, `last`).
    """
    confidence, credit = np.asarray(confidences, dtype=float), np.asarray(credits, dtype=float)
    bins = max(1, min(bins, len(confidence) // 10))
    edges = np.unique(np.quantile(confidence, np.arange(1, bins) / bins, method="lower"))
    place = np.searchsorted(edges, confidence, side="left")
    found = []
    for index in np.unique(place):
        inside = place == index
        rows, accuracy = int(inside.sum()), float(credit[inside].mean())
        low, high = wilson(accuracy, rows, level)
        first, last = float(confidence[inside].min()), float(confidence[inside].max())
        mean = float(confidence[inside].mean())
        found.append(
            {
                "rows": rows,
                "confidence": mean,
                "accuracy": accuracy,
                "low": low,
                "high": high,
                "first": first,
                "last": last,
            }
        )
    return found


def expected_calibration_error(bins: Sequence[dict[str, Any]]) -> float:
    """The mean gap between confidence and accuracy over the rows of `reliability`'s bins: 0 is honest, 1 is worst."""
    rows = sum(entry["rows"] for entry in bins)
    return sum(entry["rows"] * abs(entry["accuracy"] - entry["confidence"]) for entry in bins) / rows


def brier(confidences: Values, credits: Values) -> float:
    """The mean squared gap between the confidence of the answer given and its credit (Brier 1950); 0 is best."""
    gap = np.asarray(confidences, dtype=float) - np.asarray(credits, dtype=float)
    return float(np.mean(gap * gap))
