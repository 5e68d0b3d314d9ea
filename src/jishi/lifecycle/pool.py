"""The rows to choose from for labelling: each input once, without those that have a label or were asked for already."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jishi.core.contracts import Row, Task
from jishi.core.errors import DataError, RowError
from jishi.data import columns, content, places
from jishi.data.columns import Source
from jishi.data.sources import formats
from jishi.data.sources.limits import Limits, Raw
from jishi.data.spec import DataSpec
from jishi.lifecycle import queue


@dataclass
class Pool:
    """Rows by the hash of their input: to choose from, and `known`, which are not. Of what was left out, how many and why."""

    rows: dict[int, Row] = field(default_factory=dict)
    known: dict[int, Row] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    read: int = 0


def gather(data: DataSpec, task: Task, known: Sequence[Path]) -> Pool:
    """Read the rows. Raises RowError (file:line) at a bad one, unless they are skipped, and in a `known` file always;
    DataError where none is left."""
    pool, reader = Pool(), Reader(task)
    for path in known:
        if not path.exists():
            raise DataError("data.missing-path", path=path)
        for where, raw in formats.rows(path, Limits()) if path.is_dir() or path.stat().st_size else ():
            found, row = reader.read(where, raw, path.parent, _names(raw, data.columns))
            pool.known[found] = row
    for _, found, row in reader.rows(data, pool.left_out):
        _take(pool, found, row)
    pool.read = reader.seen
    for found in pool.rows.keys() & pool.known.keys():  # the label came behind
        del pool.rows[found]
        pool.left_out["known"] += 1
    if not pool.rows:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in pool.left_out.items())
        raise DataError("label.nothing-left", path=data.train, given=pool.read, reasons=reasons or "0")
    return pool


def _take(pool: Pool, found: int, row: Row) -> None:
    if row.get(queue.LABEL) is not None:
        pool.known[found] = row
        pool.left_out["had_label"] += 1
    elif found in pool.known:
        pool.left_out["known"] += 1
    elif found in pool.rows:
        pool.left_out["repeated"] += 1
    else:
        pool.rows[found] = queue.plain(row)


def _names(raw: Raw, names: Mapping[str, Source]) -> Mapping[str, Source]:
    """The names that the data give to columns, as far as a row has them: a file of known rows may go by the task's own."""
    return (
        {} if isinstance(raw, RowError) else {name: given for name, given in names.items() if columns.has(raw, given)}
    )


class Reader:
    """From raw rows to what a queue holds of them; without `labels`, one that a row has is taken off, and counted."""

    def __init__(self, task: Task, *, labels: bool = True) -> None:
        self._task = task
        self._labels, self.ignored = labels, 0
        self._inputs = columns.inputs(task)
        self._binary = [column for column in self._inputs if column.modality.binary]
        self.seen = 0  # rows of the data, whatever became of them

    def rows(self, data: DataSpec, left_out: Counter[str]) -> Iterator[tuple[str, int, Row]]:
        """(place, hash, row) of the training rows; one that is refused raises RowError (file:line), or is counted as left out
        where it is to be skipped."""
        for path in places.find(data)["train"]:
            for where, raw in formats.rows(path, Limits(data.max_row_bytes, data.encoding)):
                if data.max_rows is not None and self.seen >= data.max_rows:
                    break
                if not self.seen and not isinstance(raw, RowError):
                    columns.check(raw, data.columns, where)
                self.seen += 1
                try:
                    found, row = self.read(where, raw, path.parent, data.columns)
                except RowError:
                    if data.on_bad_row == "stop":
                        raise
                    left_out["refused"] += 1
                    continue
                yield where, found, row

    def read(self, where: str, raw: Raw, folder: Path, renamed: Mapping[str, Source] | None = None) -> tuple[int, Row]:
        """The hash of a row's input, and the row: under the task's columns, with whatever else it has; an empty label is none."""
        try:
            if isinstance(raw, RowError):
                raise raw
            given = columns.resolve(columns.rename(raw, renamed or {}, self._task.aliases), self._binary, folder)
            given = {name: value for name, value in given.items() if value is not None}
            if given.get(queue.LABEL) in ("", []):
                del given[queue.LABEL]
            if not self._labels and given.pop(queue.LABEL, None) is not None:
                self.ignored += 1
            row = dict(self._task.parse(given, training=False))
            for column in self._binary:
                column.modality.read(row[column.name])
            shown = {column.name: row.get(column.name) for column in self._inputs}
            found = content.describe(shown, self._inputs).input
            row = {**given, **{name: value for name, value in row.items() if value is not None}}
            queue.line(row)
        except RowError as reason:
            raise RowError("data.bad-row", where=where, reason=reason) from None
        return found, row
