"""A long row of plain values that is not held in memory: written to a file as it comes, and read back where it is looked at."""

import json
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

MEMORY = 50_000  # values that are few enough to be held


def keep(values: Iterable[Any], memory: int = MEMORY) -> Sequence[Any]:
    """The values in their order; beyond so many, in a file without a name, which the system takes back with the process."""
    source = iter(values)
    held: list[Any] = []
    for value in source:
        held.append(value)
        if len(held) > memory:
            return Kept(held, source)
    return held


class Kept(Sequence[Any]):
    """JSON, one value a line. Reading all in turn is quick, one out of turn costs a seek."""

    def __init__(self, *sources: Iterable[Any]) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the values are
        weakref.finalize(self, self._file.close)
        self._starts = array("Q", [0])
        for source in sources:
            for value in source:
                line = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                self._file.write(line)
                self._starts.append(self._starts[-1] + len(line))
        self._file.flush()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]  # raises IndexError, and counts from the end where it is negative
        self._file.seek(self._starts[place])
        return json.loads(self._file.read(self._starts[place + 1] - self._starts[place]))
