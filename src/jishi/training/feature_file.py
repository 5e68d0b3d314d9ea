"""Features in an Arrow file: plain values and one-dimensional arrays, read back exactly as they were, row by row from the disk.

Each column names the kind of its values ("array int32", "int", "list of tuple of int"), which Arrow's own types do not tell.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import pyarrow

from jishi.core.contracts import Features

ROWS = 2_000  # of a batch, each but the last
PLAIN = {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
NAMES = {cls.__name__: arrow for cls, arrow in PLAIN.items()}
ARRAY = "array "
MAKERS: Mapping[str, Callable[[Any], Any]] = {"list": list, "tuple": tuple, ARRAY: np.copy}
KIND = b"kind"
Reader = Callable[[int, int], Any]


class Misfit(Exception):
    """Features that the file can't give back as they are."""


class Writer:
    """Writes features in their order; `with Writer(path) as writer`. Raises Misfit, and OSError where the disk is full."""

    def __init__(self, path: Path) -> None:
        self._sink = pyarrow.OSFile(str(path), "wb")
        self._file: Any = None
        self._rows: list[Features] = []
        self._kinds: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        try:
            if failed is None:
                self._flush()
                self._file.close()
        finally:
            self._sink.close()

    def add(self, features: Features) -> None:
        self._rows.append(features)
        if len(self._rows) == ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        names = dict.fromkeys(name for row in self._rows for name in row)
        kinds = {name: _kind([row[name] for row in self._rows if name in row]) for name in names}
        if self._file is None:
            self._kinds = kinds
            self._schema = pyarrow.schema(
                [pyarrow.field(name, _arrow(kind), metadata={KIND: kind}) for name, kind in kinds.items()]
            )
            self._file = pyarrow.ipc.new_file(self._sink, self._schema)
        if any(not _fits(kind, self._kinds.get(name, "")) for name, kind in kinds.items()):
            raise Misfit
        try:
            columns = [pyarrow.array([row.get(field.name) for row in self._rows], field.type) for field in self._schema]
        except (pyarrow.ArrowException, ValueError, OverflowError) as error:
            raise Misfit from error
        self._file.write_batch(pyarrow.record_batch(columns, schema=self._schema))
        self._rows = []


class Stored(Sequence[Features]):
    """The features of a file, mapped into memory and made when they are asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        file = pyarrow.ipc.open_file(pyarrow.memory_map(str(path)))
        batches = [file.get_batch(number) for number in range(file.num_record_batches)]
        self._sizes = [batch.num_rows for batch in batches]
        self._length = sum(self._sizes)
        self._readers = [
            {field.name: _reader(batch.column(field.name), field.metadata[KIND].decode()) for field in file.schema}
            for batch in batches
        ]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Features]:
        return chain.from_iterable(self._read(batch, 0, size) for batch, size in enumerate(self._sizes))

    @overload
    def __getitem__(self, index: int) -> Features: ...
    @overload
    def __getitem__(self, index: slice) -> list[Features]: ...
    def __getitem__(self, index: int | slice) -> Features | list[Features]:
        if isinstance(index, slice):
            return [self[place] for place in range(self._length)[index]]
        batch, row = divmod(range(self._length)[index], ROWS)
        return self._read(batch, row, row + 1)[0]

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        return type(self), (self._path,)  # a process that reads rows ahead maps the file itself

    def _read(self, batch: int, start: int, end: int) -> list[Features]:
        rows: list[Features] = [{} for _ in range(start, end)]
        for name, read in self._readers[batch].items():
            for row, value in zip(rows, read(start, end), strict=True):
                if value is not None:
                    row[name] = value
        return rows


def _kind(values: Sequence[Any]) -> str:
    """What all of these values are. Raises Misfit where they differ, or are nothing the file can hold."""
    types = set(map(type, values))
    if not types:
        return ""  # nothing is known of the items of empty lists
    cls = types.pop()
    if types:
        raise Misfit
    if cls in PLAIN:
        return cls.__name__
    if cls in (list, tuple):
        return f"{cls.__name__} of {_kind(list(chain.from_iterable(values)))}"
    if cls is np.ndarray and len(formats := {(value.ndim, value.dtype.str) for value in values}) == 1:
        ((dimensions, _),) = formats
        if dimensions == 1 and values[0].dtype.kind in "biuf" and values[0].dtype.isnative:
            return f"{ARRAY}{values[0].dtype.name}"
    raise Misfit


def _fits(kind: str, known: str) -> bool:
    """Whether values of a kind may stand in a column of another: lists that are all empty fit lists of anything."""
    return kind == known or (kind.endswith("of ") and known.startswith(kind))


def _arrow(kind: str) -> pyarrow.DataType:
    if not kind:
        return pyarrow.null()
    if kind.startswith(ARRAY):
        return pyarrow.list_(pyarrow.from_numpy_dtype(np.dtype(kind.removeprefix(ARRAY))))
    container, of, inner = kind.partition(" of ")
    return pyarrow.list_(_arrow(inner)) if of else NAMES[container]


def _reader(column: pyarrow.Array, kind: str) -> Reader:
    """Gives the values of rows (start, end) of a column, None where a row has none; until then nothing is read."""
    container, of, inner = kind.partition(" of ")
    if of or kind.startswith(ARRAY):
        return _cut(
            column, _reader(column.values, inner) if of else _view(column.values), MAKERS[container if of else ARRAY]
        )
    if column.null_count or pyarrow.types.is_string(column.type):
        return lambda start, end: column.slice(start, end - start).to_pylist()
    values = _view(column)
    return lambda start, end: values(start, end).tolist()


def _view(column: pyarrow.Array) -> Callable[[int, int], np.ndarray]:
    values = column.to_numpy(zero_copy_only=False)
    return lambda start, end: values[start:end]


def _cut(column: pyarrow.Array, items: Reader, make: Callable[[Any], Any]) -> Reader:
    """Rows of several items each: one read of all their items, then cut. Arrow itself makes lists slowly."""
    offsets, absent = column.offsets.to_numpy(), column.null_count > 0

    def read(start: int, end: int) -> list[Any]:
        bounds = offsets[start : end + 1].tolist()
        found, first = items(bounds[0], bounds[-1]), bounds[0]
        pieces = [make(found[low - first : high - first]) for low, high in pairwise(bounds)]
        return [one if column[start + row].is_valid else None for row, one in enumerate(pieces)] if absent else pieces

    return read
