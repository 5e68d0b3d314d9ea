"""Label a queue row by row: every label is on the disk before it is acknowledged, and a kill loses none."""

import fcntl
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from jishi.core.contracts import Row
from jishi.core.errors import DataError, UsageError
from jishi.data.columns import said
from jishi.data.rows import read
from jishi.lifecycle import queue


class Log:
    """An append-only file of rows that this process alone writes; what a killed one had half written is cut off.

    Raises UsageError where another process holds it, or it can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)  # a write that fails leaves nothing behind for the next
        except OSError as error:
            raise UsageError("label.not-written", path=path, reason=error.strerror) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UsageError("label.busy", path=path) from None
        self._mend()
        self.rows: list[Row] = [raw for _, raw in read(path)] if self._size() else []

    def add(self, row: Row) -> None:
        """Write one row; it is on the disk when this returns, and no part of it is where this fails."""
        before = self._size()
        try:
            self._append(queue.line(row).encode())
        except OSError:
            self._cut(before)
            raise
        self.rows.append(row)

    def drop(self) -> Row:
        """Take the last row out again."""
        self._file.seek(0)
        content = self._file.read().rstrip(b"\n")
        self._cut(content.rfind(b"\n") + 1)
        return self.rows.pop()

    def close(self) -> None:
        self._file.close()

    def _mend(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        if not content or content.endswith(b"\n"):
            return
        begin = content.rfind(b"\n") + 1
        try:
            json.loads(content[begin:])
        except ValueError:
            self._cut(begin)
        else:
            self._append(b"\n")

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _cut(self, size: int) -> None:
        os.ftruncate(self._file.fileno(), size)
        os.fsync(self._file.fileno())

    def _append(self, content: bytes) -> None:
        while content:
            content = content[self._file.write(content) :]
        os.fsync(self._file.fileno())


class Labelling:
    """A queue, the file of its labels, and that of the rows that were passed over. Safe to share between threads."""

    def __init__(self, path: Path, out: Path | None = None) -> None:
        self.path = path
        self.rows = queue.read(path)
        self.columns = queue.inputs(self.rows)
        self.labels, self.several = queue.labels(self.rows), queue.several(self.rows)
        names = [column.name for column in self.columns]
        self.labelled, self.skipped = Log(out or queue.beside(path)), Log(queue.beside(path, queue.SKIPPED))
        places: dict[str, list[int]] = {}  # of equal rows, the last first
        for place in reversed(range(len(self.rows))):
            places.setdefault(queue.face(self.rows[place], names), []).append(place)
        self._done: dict[int, Log] = {}
        self._order: list[int] = []  # what can be taken back, the last one last
        for log in (self.skipped, self.labelled):
            for row in log.rows:
                left = places.get(queue.face(row, names))
                if not left:  # a row from elsewhere: what stands before it stays
                    self._order = [one for one in self._order if self._done[one] is not log]
                else:
                    self._done[left[-1]] = log
                    self._order.append(left.pop())
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the files; one that holds no row is taken away."""
        for log in (self.labelled, self.skipped):
            if not log.rows:
                log.path.unlink(missing_ok=True)
            log.close()

    def state(self) -> dict[str, Any]:
        """What a page shows: how far it is, and the next row, with its columns as texts or pictures."""
        with self._lock:
            kept = [*self._done.values()]
            place = next((place for place in range(len(self.rows)) if place not in self._done), None)
            back = bool(self._order)
        return {
            "queue": self.path.name, "out": self.labelled.path.name, "labels": self.labels, "several": self.several,
            "total": len(self.rows), "labelled": kept.count(self.labelled), "skipped": kept.count(self.skipped),
            "undo": back, "row": None if place is None else self._shown(place),
        }  # fmt: skip

    def give(self, place: int, labels: Sequence[str]) -> None:
        """Label an open row. Raises DataError where it is open no longer, or the labels are not of the queue."""
        strange = [label for label in labels if label not in self.labels]
        if strange or (not self.several and len(labels) != 1):
            raise DataError(
                "label.other-label", given=", ".join(strange or labels) or "–", allowed=", ".join(self.labels[:20])
            )
        found = [label for label in self.labels if label in labels]
        self._write(place, self.labelled, {queue.LABEL: found if self.several else found[0]})

    def skip(self, place: int) -> None:
        """Pass an open row over."""
        self._write(place, self.skipped, {})

    def undo(self) -> None:
        """Take the last answer back. Raises DataError where there is none."""
        with self._lock:
            if not self._order:
                raise DataError("label.nothing-back")
            place = self._order.pop()
            self._done.pop(place).drop()

    def _write(self, place: int, log: Log, answer: Row) -> None:
        with self._lock:
            if place in self._done or not 0 <= place < len(self.rows):
                raise DataError("label.not-open")
            log.add({**queue.plain(self.rows[place]), **answer})
            self._done[place] = log
            self._order.append(place)

    def _shown(self, place: int) -> dict[str, Any]:
        row = self.rows[place]
        fields = [
            {"name": column.name, "picture": column.modality.preview(row[column.name], queue.SIDE)}
            if column.modality.binary
            else {"name": column.name, "text": said(row[column.name])}
            for column in self.columns
            if row.get(column.name) is not None
        ]
        given = row.get(queue.LABEL)
        return {
            "place": place, "fields": fields, "guess": row[queue.GUESS],
            "given": given if given is None or isinstance(given, list) else [given],
        }  # fmt: skip
