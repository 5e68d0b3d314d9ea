"""CSV and TSV with a header row. Only CSV has quotes; in TSV a quote is a character like any other."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jishi.core.errors import DataError, RowError
from jishi.data.sources.limits import Limits, Raw, Rows
from jishi.data.sources.stream import lines

CSV: Mapping[str, Any] = {"delimiter": ",", "strict": True}
TSV: Mapping[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}


def read_csv(path: Path, limits: Limits) -> Rows:
    return _read(path, limits, CSV)


def read_tsv(path: Path, limits: Limits) -> Rows:
    return _read(path, limits, TSV)


def _read(path: Path, limits: Limits, dialect: Mapping[str, Any]) -> Rows:
    csv.field_size_limit(max(csv.field_size_limit(), limits.row_bytes))
    feed = _Feed(lines(path, limits), limits.row_bytes)
    reader = csv.reader(feed, **dialect)
    header: list[str] | None = None
    while True:
        where = f"{path}:{feed.begin()}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (RowError, csv.Error) as error:
            bad = error if isinstance(error, RowError) else RowError("data.bad-csv", reason=error)
            if header is None:
                raise DataError("data.bad-row", where=where, reason=bad) from None
            feed.back()
            yield where, bad
            continue
        if not cells:
            continue
        if header is None:
            header = _header(cells, where)
        else:
            yield where, _row(header, cells)


def _header(cells: list[str], where: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError("data.repeated-column", where=where, given=", ".join(twice))
    return names


def _row(header: list[str], cells: list[str]) -> Raw:
    if len(cells) != len(header):
        return RowError("data.ragged-row", given=len(cells), allowed=len(header))
    return dict(zip(header, cells, strict=True))


class _Feed:
    """The lines of one record for csv.reader: a record too large is stopped, and a bad one gives back all but its first line,
    so that one quote without an end does not swallow the rows behind it."""

    def __init__(self, source: Iterator[tuple[int, str | RowError]], limit: int) -> None:
        self._source = source
        self._limit = limit
        self._record: list[tuple[int, str]] = []  # the lines of the record being read
        self._length = 0  # of the record, in characters
        self._returned: list[tuple[int, str | RowError]] = []  # lines given back, the next one last
        self._line = 0

    def begin(self) -> int:
        """Start a record; the line it stands at."""
        self._record, self._length = [], 0
        return self._returned[-1][0] if self._returned else self._line + 1

    def back(self) -> None:
        """Give back the record's lines behind the first."""
        self._returned.extend(reversed(self._record[1:]))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._returned:
            number, line = self._returned.pop()
        else:
            number, line = next(self._source)
            self._line = number
        if isinstance(line, RowError):
            if self._record:  # it ends the record it stands in, and is told of when its turn comes
                self._returned.append((number, line))
                raise RowError("data.bad-csv", reason="a quote has no end")
            raise line
        self._record.append((number, line))
        self._length += len(line)
        if self._length > self._limit:
            raise RowError("data.row-too-large", allowed=self._limit)
        return line + "\n"
