"""Rows on disk as Arrow: spooled once as they are read, then dealt out to one memory-mapped file a part."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy
import pyarrow

from jishi.core.contracts import Row
from jishi.core.errors import DataError
from jishi.data.spec import PARTS

BATCH_ROWS = 2_000
BATCH_BYTES = 32 * 2**20


def tables(folder: Path) -> dict[str, pyarrow.Table]:
    """The parts of a prepared folder, memory-mapped."""
    files = {part: folder / f"{part}.arrow" for part in PARTS}
    return {
        part: pyarrow.ipc.open_stream(pyarrow.memory_map(str(file))).read_all()
        for part, file in files.items()
        if file.is_file()
    }


def pick(table: pyarrow.Table, rows: numpy.ndarray) -> pyarrow.Table:
    """Some rows of a table, by ascending places; batch by batch, so that no more than these rows is held."""
    found, start = [], 0
    for batch in table.to_batches():
        first, last = numpy.searchsorted(rows, [start, start + batch.num_rows])
        found.append(batch.take(pyarrow.array(rows[first:last] - start)))
        start += batch.num_rows
    return pyarrow.Table.from_batches(found, schema=table.schema)


class Spool:
    """Accepted rows in the order they were read. Types are found as rows come: what is null at first may be text later."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._rows: list[Row] = []
        self._bytes = 0
        self._batches = 0
        self._schema = pyarrow.schema([])

    def add(self, row: Row, size: int) -> None:
        """Take one row of about `size` bytes. Raises DataError where a column changes its type."""
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
            self._flush()

    def deal(self, files: Mapping[int, Path], owners: numpy.ndarray) -> None:
        """Write each row to the file of its owner; `owners` (rows,) are keys of `files`, other rows are left out."""
        self._flush()
        with ExitStack() as stack:
            writers = {
                owner: stack.enter_context(pyarrow.ipc.new_stream(str(path), self._schema))
                for owner, path in files.items()
            }
            start = 0
            for table in self._tables():
                owner = owners[start : start + table.num_rows]
                start += table.num_rows
                for number, writer in writers.items():
                    chosen = table.filter(pyarrow.array(owner == number))
                    if chosen.num_rows:
                        writer.write_table(chosen)

    def _flush(self) -> None:
        if not self._rows:
            return
        table = _table(self._rows)
        try:
            self._schema = pyarrow.unify_schemas([self._schema, table.schema], promote_options="permissive")
        except pyarrow.ArrowTypeError as error:
            raise DataError("data.mixed-types", reason=error) from error
        with pyarrow.ipc.new_stream(str(self._folder / f"{self._batches}.arrow"), table.schema) as writer:
            writer.write_table(table)
        self._batches += 1
        self._rows, self._bytes = [], 0

    def _tables(self) -> Iterator[pyarrow.Table]:
        for number in range(self._batches):
            with (
                pyarrow.memory_map(str(self._folder / f"{number}.arrow")) as file,
                pyarrow.ipc.open_stream(file) as stream,
            ):
                table = stream.read_all()
            missing = [field for field in self._schema if field.name not in table.column_names]
            for field in missing:
                table = table.append_column(field, pyarrow.nulls(table.num_rows, field.type))
            yield table.select(self._schema.names).cast(self._schema)


def _table(rows: Sequence[Row]) -> pyarrow.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        try:
            columns[name] = pyarrow.array([row.get(name) for row in rows])
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
            raise DataError("data.mixed-types", reason=f"{name}: {error}") from error
    return pyarrow.table(columns)
