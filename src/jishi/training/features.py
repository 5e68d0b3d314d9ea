"""Rows encoded once and kept while they fit in memory; encoded again on demand beyond that."""

import sys
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from jishi.core.contracts import Features, Objective, Row

CACHE_BYTES = 2**30


class Encoded(Sequence[Features]):
    """The features of rows. `lengths` are their costs in tokens; `truncated` and `unknown` are shares over all rows."""

    def __init__(self, objective: Objective, rows: Sequence[Row], processor: Any) -> None:
        self._objective, self._rows, self._processor = objective, rows, processor
        self._kept: list[Features | None] = []
        self.lengths: list[int] = []
        size = truncated = unknown = 0.0
        for row in rows:
            features = objective.encode(row, processor)
            size += _size(features)
            self._kept.append(features if size < CACHE_BYTES else None)
            self.lengths.append(features["length"])
            truncated += bool(features.get("truncated", False))
            unknown += features.get("unknown", 0.0) * features["length"]
        self.truncated = truncated / len(self.lengths) if self.lengths else 0.0
        self.unknown = unknown / sum(self.lengths) if self.lengths else 0.0

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> Features: ...
    @overload
    def __getitem__(self, index: slice) -> list[Features]: ...
    def __getitem__(self, index: int | slice) -> Features | list[Features]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        kept = self._kept[index]
        return self._objective.encode(self._rows[index], self._processor) if kept is None else kept


def _size(features: Features) -> float:
    return sum(
        value.nbytes
        if isinstance(value, np.ndarray)
        else 8 * len(value)
        if isinstance(value, Sequence)
        else sys.getsizeof(value)
        for value in features.values()
    )
