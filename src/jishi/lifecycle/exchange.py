"""A queue goes out to be labelled elsewhere, and the labels come back: Label Studio, or any file of rows."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from jishi.core import publish
from jishi.core.errors import DataError, RowError, UsageError
from jishi.data.rows import read
from jishi.data.sources.limits import Limits
from jishi.lifecycle import label_studio, queue

TASKS = ".json"  # the ending of Label Studio's files
TASK_BYTES = 16 * 2**20  # of a task, which holds its picture
STUDIO = frozenset({"annotations", "annotation_id"})  # keys of an exported task, one of them


def export(path: Path, out: Path) -> dict[str, Any]:
    """Write the rows of a queue that have no label yet: as tasks for Label Studio (.json) with the interface beside them
    (.xml), or as rows whose label is null (.jsonl)."""
    rows, columns = opened(path)
    if out.suffix == TASKS:
        tasks = label_studio.tasks(rows, columns)
        publish.write_text(out, json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")
        publish.write_text(out.with_suffix(".xml"), label_studio.interface(rows, columns))
        return {"file": str(out), "interface": str(out.with_suffix(".xml")), "written": len(rows)}
    if out.suffix != queue.ENDING:
        raise DataError("label.bad-export", path=out)
    publish.write_text(out, "".join(queue.line({**row, queue.LABEL: None}) for row in rows))
    return {"file": str(out), "written": len(rows)}


def take_in(path: Path, asked: Path | None = None, out: Path | None = None) -> dict[str, Any]:
    """Put the labels of an export of Label Studio, or of a file of rows, behind those of a file of labelled rows: `out`, or the
    one of the queue that was `asked`, by which labels that it does not know are found out.

    {"labelled", "read", "taken", "agreed", "left_out": {reason: rows}, "unknown_labels": {label: rows}}. Raises DataError where
    no row has a label, RowError (file:line) at what is no row.
    """
    rows = queue.read(asked) if asked else []
    out = out or (queue.beside(asked) if asked else None)
    if out is None:
        raise UsageError("label.no-place")
    known, several = set(queue.labels(rows)), queue.several(rows)
    found, unknown = label_studio.Found(), Counter[str]()
    count = 0
    for where, raw in read(path, Limits(row_bytes=TASK_BYTES)):
        count += 1
        try:
            if STUDIO & raw.keys():
                found.take(raw, several=several)
            else:
                _plain(found, dict(raw))
        except RowError as reason:
            raise RowError("data.bad-row", where=where, reason=reason) from None
    if not found.rows:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in found.left_out.items())
        raise DataError("label.no-labels", path=path, given=count, reasons=reasons or "0")
    have = {_face(dict(raw)) for _, raw in read(out)} if out.exists() and out.stat().st_size else set()
    taken = []
    for row, labels in found.rows:
        strange = [label for label in labels if known and label not in known]
        unknown.update(strange)
        face, too_many = _face(row), bool(known) and not several and len(labels) != 1
        if strange or too_many or face in have:
            found.left_out["unknown" if strange else "several" if too_many else "repeated"] += 1
            continue
        have.add(face)
        taken.append({**row, queue.LABEL: list(labels) if several or len(labels) != 1 else labels[0]})
    queue.add(out, taken)
    told = {"labelled": str(out), "read": count, "taken": len(taken), "agreed": found.agreed}
    return {**told, "left_out": dict(found.left_out), "unknown_labels": dict(unknown)}


def opened(path: Path) -> tuple[list[dict[str, Any]], list[queue.Column]]:
    """The rows of a queue that were neither labelled nor passed over, and the columns that are shown. Raises DataError where
    there are none."""
    rows = queue.read(path)
    columns = queue.inputs(rows)
    names = [column.name for column in columns]
    done = {
        queue.face(raw, names)
        for file in (queue.beside(path), queue.beside(path, queue.SKIPPED))
        if file.exists() and file.stat().st_size
        for _, raw in read(file)
    }
    left = [row for row in rows if queue.face(row, names) not in done]
    if not left:
        raise DataError("label.all-labelled", path=path, given=len(rows))
    return left, columns


def _plain(found: label_studio.Found, raw: dict[str, Any]) -> None:
    """A row as it stands, with its label or without."""
    label = raw.get(queue.LABEL)
    if label in (None, ""):
        found.left_out["open"] += 1
    else:
        labels = label if isinstance(label, list) else [label]
        found.rows.append((queue.plain(raw), tuple(map(str, labels))))


def _face(row: dict[str, Any]) -> str:
    return json.dumps(queue.plain(row), ensure_ascii=False, sort_keys=True)
