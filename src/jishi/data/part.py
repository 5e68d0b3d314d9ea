"""The rows of a part as they lie on disk, turned into Python a few thousand at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy
import pyarrow

from jishi.core.contracts import Row


class Part(Sequence[Row]):
    """Rows of an Arrow table that is mapped into memory: none is held but those being looked at."""

    def __init__(self, table: pyarrow.Table) -> None:
        self._batches = table.to_batches()
        self._ends = numpy.cumsum([batch.num_rows for batch in self._batches])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __iter__(self) -> Iterator[Row]:
        for batch in self._batches:
            yield from batch.to_pylist()

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        number = int(numpy.searchsorted(self._ends, place, side="right"))
        start = int(self._ends[number]) - self._batches[number].num_rows
        return self._batches[number].slice(place - start, 1).to_pylist()[0]
