"""The label queue: a JSONL file of rows without a label, those most worth one first, each with what a model guesses.

    {"text": "…", "guess": {"task": "text-classification", "label": "sport", "score": 0.41, "scores": {…}, "by": "margin"}}

Whatever else a row had stays in it. Its labels, as they are given, stand in a file of their own beside it (`beside`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from jishi.core import publish, registry
from jishi.core.contracts import Row, Task
from jishi.core.errors import DataError, RowError
from jishi.data import columns
from jishi.data.columns import Column
from jishi.data.rows import read as rows_of

GUESS, LABEL, LABELS = "guess", "label", "labels"
ENDING, SKIPPED = ".jsonl", "skipped"
DIGITS = 4  # of a probability
SIDE = 640  # pixels of a picture that is shown to who labels


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a queue. Raises DataError where there is none, RowError (file:line) at a row without a guess."""
    if path.suffix != ENDING:
        raise DataError("label.not-jsonl", path=path)
    rows = []
    for where, raw in rows_of(path):
        guess = raw.get(GUESS)
        if not isinstance(guess, dict) or not isinstance(guess.get("scores"), dict) or "task" not in guess:
            raise RowError("data.bad-row", where=where, reason=RowError("label.no-guess"))
        rows.append(dict(raw))
    if not rows:
        raise DataError("data.no-rows", path=path)
    return rows


def guess(
    task: Task, labels: Sequence[str], scores: numpy.ndarray, given: numpy.ndarray, *, several: bool, by: str
) -> dict[str, Any]:
    """What a model says of a row: its answer, how sure it is of it (of several labels: of the least sure one), and every
    probability; `scores` and whether a label is `given` are (K,)."""
    named = [label for label, yes in zip(labels, given, strict=True) if yes]
    sure = numpy.where(given, scores, 1 - scores).min() if several else scores[given].max()
    return {
        "task": registry.name_of(task),
        **({LABELS: named} if several else {LABEL: named[0]}),
        "score": round(float(sure), DIGITS),
        "scores": {label: round(float(score), DIGITS) for label, score in zip(labels, scores, strict=True)},
        "by": by,
    }


def labels(rows: Sequence[Row]) -> tuple[str, ...]:
    """Every label that a row of a queue may have, in the order of the task."""
    return tuple(dict.fromkeys(label for row in rows for label in row[GUESS]["scores"]))


def several(rows: Sequence[Row]) -> bool:
    """Whether rows of a queue may have any number of labels."""
    return any(LABELS in row[GUESS] for row in rows)


def inputs(rows: Sequence[Row]) -> list[Column]:
    """The columns that are shown to who labels."""
    return columns.inputs(registry.get(Task, rows[0][GUESS]["task"]))


def plain(row: Row) -> dict[str, Any]:
    """A row of a queue without its guess, ready for a label."""
    return {name: value for name, value in row.items() if name not in (GUESS, LABEL)}


def face(row: Row, names: Iterable[str]) -> str:
    """The input columns of a row as one text: equal rows have equal faces."""
    return json.dumps([row.get(name) for name in names], ensure_ascii=False)


def beside(path: Path, what: str = "labelled") -> Path:
    """Where the labels of a queue stand, or its `skipped` rows."""
    return path.with_name(f"{path.stem}.{what}{ENDING}")


def line(row: Mapping[str, Any]) -> str:
    """A row as a line of JSON. Raises RowError for what is no JSON (a picture that stands in the row itself)."""
    try:
        return json.dumps(row, ensure_ascii=False) + "\n"
    except TypeError:
        raise RowError("label.not-json") from None


def add(path: Path, rows: Iterable[Row]) -> None:
    """Put rows behind those of a file of rows, all of them or none."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    before += "\n" if before and not before.endswith("\n") else ""
    publish.write_text(path, before + "".join(map(line, rows)))
