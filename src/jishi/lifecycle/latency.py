"""How long one answer takes where one row is asked at a time."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from jishi.core.contracts import Row

ROWS = 32


def milliseconds(answer: Callable[[Sequence[Row]], Any], rows: Sequence[Row]) -> float:
    """The median over at most 32 rows, each asked twice; the first round warms up."""
    spent = []
    for row in [rows[place] for place in range(min(ROWS, len(rows)))] * 2:
        clock = time.perf_counter()
        answer([row])
        spent.append(1000 * (time.perf_counter() - clock))
    return statistics.median(spent[len(spent) // 2 :])
