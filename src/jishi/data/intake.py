"""Read every source once: each row is accepted into the spool or refused with its place and reason, and all are counted."""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy

from jishi.core.contracts import Objective, Row
from jishi.core.errors import DataError, RowError
from jishi.data import columns, content
from jishi.data.ledger import Ledger
from jishi.data.places import Places
from jishi.data.sources import formats
from jishi.data.sources.limits import Limits, Raw
from jishi.data.spec import PARTS, DataSpec
from jishi.data.store import Spool


@dataclass
class Accepted:
    """What is kept in memory of the spooled rows, one entry a row: some 30 bytes."""

    inputs: array = field(default_factory=lambda: array("Q"))
    wholes: array = field(default_factory=lambda: array("Q"))
    parts: array = field(default_factory=lambda: array("b"))  # the part a row was given in, a place in PARTS
    strata: array = field(default_factory=lambda: array("q"))  # a place in `names`
    empty: array = field(default_factory=lambda: array("b"))
    copied: array = field(default_factory=lambda: array("b"))
    names: dict[tuple[str, ...], int] = field(default_factory=dict)  # the labels of a row → stratum
    firsts: list[str] = field(default_factory=list)  # stratum → where its first row stands
    single: bool = False  # whether a row has one label

    def add(self, found: content.Content, part: str, where: str) -> None:
        self.inputs.append(found.input)
        self.wholes.append(found.whole)
        self.parts.append(PARTS.index(part))
        self.strata.append(self.names.setdefault(found.labels, len(self.names)))
        if len(self.firsts) < len(self.names):
            self.firsts.append(where)
        self.empty.append(found.empty)
        self.copied.append(found.copied)
        self.single = self.single or found.single

    def column(self, name: str) -> numpy.ndarray:
        """One of the arrays, (rows,)."""
        values = getattr(self, name)
        return numpy.array(values, dtype=values.typecode)


class Intake:
    """One pass over the sources of a spec."""

    def __init__(self, spec: DataSpec, objective: Objective, spool: Spool) -> None:
        self.ledger = Ledger()
        self.accepted = Accepted()
        self._spec = spec
        self._objective = objective
        self._spool = spool
        self._inputs = columns.inputs(objective)
        self._first_bad: tuple[str, RowError] | None = None
        self._labelled = objective.labelled and not getattr(objective, "generates", False)
        self._binary = [column for column in self._inputs if column.modality.binary]

    def read(self, places: Places) -> None:
        """Read all. Raises RowError at the first bad row where the spec says stop, DataError where a part has no row."""
        for part, paths in places.items():
            before, room = self.ledger.read, self._spec.max_rows
            accepted, self._first_bad = 0, None
            for path in paths:
                for where, raw in self._rows(path):
                    self.ledger.read += 1
                    if room is not None and accepted >= room:
                        self.ledger.cut["max_rows"] += 1
                    else:
                        accepted += self._take(where, raw, path, part)
            if not accepted:
                self._nothing(paths[0], self.ledger.read - before)

    def _rows(self, path: Path) -> Iterator[tuple[str, Raw]]:
        first = True
        for where, raw in formats.rows(path, Limits(self._spec.max_row_bytes, self._spec.encoding)):
            if first and not isinstance(raw, RowError):
                columns.check(raw, self._spec.columns, where)
                first = False
            yield where, raw

    def _take(self, where: str, raw: Raw, path: Path, part: str) -> bool:
        """Whether the row was accepted."""
        try:
            if isinstance(raw, RowError):
                raise raw
            row = dict(self._parse(raw, path.parent))
            mended = row.pop("mended", None)
            found = content.describe(row, self._inputs, labelled=self._labelled)
            if found.size > self._spec.max_row_bytes:
                raise RowError("data.row-too-large", allowed=self._spec.max_row_bytes)
        except RowError as reason:
            if self._spec.on_bad_row == "stop":
                raise RowError("data.bad-row", where=where, reason=reason) from None
            self._first_bad = self._first_bad or (where, reason)
            self.ledger.refuse(where, reason)
            return False
        self.ledger.mended.update([mended] if mended else [])
        self._spool.add(row, found.size)
        self.accepted.add(found, part, where)
        return True

    def _parse(self, raw: Mapping[str, object], folder: Path) -> Row:
        renamed = columns.rename(raw, self._spec.columns, self._objective.aliases)
        return self._objective.parse(columns.resolve(renamed, self._binary, folder))

    def _nothing(self, path: Path, read: int) -> None:
        if not self._first_bad:
            raise DataError("data.no-rows", path=path)
        where, reason = self._first_bad
        raise DataError("data.all-refused", path=path, given=read, where=where, reason=reason)
