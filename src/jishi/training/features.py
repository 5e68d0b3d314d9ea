"""Rows encoded once: kept while they fit in memory, and on the disk from one run to the next where that saves time."""

import sys
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from jishi.core.contracts import Features, Objective, Row
from jishi.training import encoding, feature_cache

CACHE_BYTES = 2**30
KEPT_SECONDS = 0.5  # what takes less to encode is not worth a file


class Encoded(Sequence[Features]):
    """The features of rows. `lengths` are their costs in tokens; `truncated` and `unknown` are shares over all rows, `cut` the
    number of targets that can't be taught.

    Beyond the memory set aside, features come from the file, or are encoded again where there is none.
    """

    def __init__(self, objective: Objective, rows: Sequence[Row], processor: Any) -> None:
        self._objective, self._rows, self._processor = objective, rows, processor
        self._kept: list[Features | None] = []
        self.lengths: list[int] = []
        self._size = self._truncated = self._unknown = 0.0
        self.cut = 0
        seconds = encoding.seconds(objective, rows, processor)
        worth = seconds > KEPT_SECONDS or encoding.enriches(objective)
        place = feature_cache.place(objective, rows, processor) if worth else None
        found = feature_cache.find(place)
        with feature_cache.recording(None if found else place) as record:
            for features in found or encoding.encode(objective, rows, processor, seconds):
                self._take(features)
                record(features)
        self._stored = (found or feature_cache.find(place)) if None in self._kept else None
        self.truncated = self._truncated / len(self.lengths) if self.lengths else 0.0
        self.unknown = self._unknown / sum(self.lengths) if self.lengths else 0.0

    def _take(self, features: Features) -> None:
        self._size += _size(features)
        self._kept.append(features if self._size < CACHE_BYTES else None)
        self.lengths.append(features["length"])
        self._truncated += bool(features.get("truncated", False))
        self.cut += features.get("cut", 0)
        self._unknown += features.get("unknown", 0.0) * features["length"]

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
        if kept is not None:
            return kept
        if self._stored is not None:
            return self._stored[index]
        features = self._objective.encode(self._rows[index], self._processor)
        return self._objective.enrich([features], self._processor)[0]


def _size(features: Features) -> float:
    return sum(
        value.nbytes
        if isinstance(value, np.ndarray)
        else sum(map(_size, value))
        if value and isinstance(value, list) and isinstance(value[0], dict)  # windows
        else 8 * len(value)
        if isinstance(value, Sequence)
        else sys.getsizeof(value)
        for value in features.values()
    )
