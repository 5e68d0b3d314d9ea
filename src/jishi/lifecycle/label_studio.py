"""A queue as Label Studio reads it (tasks with predictions, and the labelling interface), and its exports as rows with labels.

A picture travels inside its task as a small JPEG, so that nothing need be uploaded; its path stands in `data` beside it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import quoteattr

from jishi.core.contracts import Row
from jishi.core.errors import RowError
from jishi.data.columns import Column
from jishi.lifecycle import queue

NAME = "label"  # of the choices in the interface
FILE = "_file"  # behind the name of a column: the path of its picture
MINIMAL = frozenset(
    {NAME, "id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}
)  # keys of JSON-MIN


def tasks(rows: Sequence[Row], columns: Sequence[Column]) -> list[dict[str, Any]]:
    """One task a row: {"data", "predictions": [{"model_version", "score", "result"}]}."""
    return [_task(row, [column for column in columns if row.get(column.name) is not None]) for row in rows]


def _task(row: Row, columns: Sequence[Column]) -> dict[str, Any]:
    guess = row[queue.GUESS]
    data = queue.plain(row)
    for column in columns:
        if column.modality.binary:
            data[column.name + FILE] = row[column.name]
            data[column.name] = column.modality.preview(row[column.name], queue.SIDE)
    chosen = guess.get(queue.LABELS, [guess.get(queue.LABEL)])
    result = {"from_name": NAME, "to_name": columns[0].name, "type": "choices", "value": {"choices": chosen}}
    prediction = {"model_version": f"jishi {guess['by']}", "score": guess["score"], "result": [result]}
    return {"data": data, "predictions": [prediction]}


def interface(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """The labelling interface of a project, as XML."""
    shown = [column for column in columns if any(row.get(column.name) is not None for row in rows)]
    kinds = {True: "Image", False: "Text"}
    several = "multiple" if queue.several(rows) else "single"
    lines = [
        f"  <{kinds[column.modality.binary]} name={quoteattr(column.name)} value={quoteattr('$' + column.name)}/>"
        for column in shown
    ]
    choices = [f"    <Choice value={quoteattr(label)}/>" for label in queue.labels(rows)]
    head = f'  <Choices name="{NAME}" toName={quoteattr(shown[0].name)} choice="{several}" showInline="true">'
    return "\n".join(["<View>", *lines, head, *choices, "  </Choices>", "</View>"]) + "\n"


@dataclass
class Found:
    """The labels of tasks: (row, its labels), and of tasks without any, how many and why."""

    rows: list[tuple[dict[str, Any], tuple[str, ...]]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    agreed: int = 0  # tasks that several people labelled, and more than half of them alike

    def take(self, task: Mapping[str, Any], *, several: bool) -> None:
        """Read one task of an export, "JSON" or "JSON-MIN".

        Of several annotations those decide that more than half have; a task where none has is "disputed", one that was passed
        over "skipped", one without annotations "open". Raises RowError for what is no task.
        """
        try:
            votes, skipped = _votes(task, several=several)
            row = _row(task["data"] if "data" in task else {key: task[key] for key in task if key not in MINIMAL})
        except (AttributeError, KeyError, TypeError):
            raise RowError("label.no-task") from None
        if not votes:
            self.left_out["skipped" if skipped else "open"] += 1
            return
        (labels, most), *_ = Counter(votes).most_common(1)
        if 2 * most <= len(votes):
            self.left_out["disputed"] += 1
            return
        self.agreed += len(votes) > 1
        self.rows.append((row, labels))


def _votes(task: Mapping[str, Any], *, several: bool) -> tuple[list[tuple[str, ...]], bool]:
    """The labels of each annotation, and whether any was passed over; where one label is wanted, none is none."""
    if "data" in task:
        kept = [one for one in task["annotations"] if not one.get("was_cancelled")]
        votes = [tuple(sorted(_choices(one["result"]))) for one in kept]
        skipped = len(kept) < len(task["annotations"])
    else:  # JSON-MIN: one annotation
        given = task.get(NAME, ())
        given = given["choices"] if isinstance(given, Mapping) else given
        votes, skipped = [(given,) if isinstance(given, str) else tuple(sorted(given))] if NAME in task else [], False
    return (votes if several else [labels for labels in votes if len(labels) == 1]), skipped


def _choices(result: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for part in result:
        yield from map(str, part["value"].get("choices", ()))


def _row(data: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a task, pictures by their paths again."""
    row = dict(data)
    for key in data:
        column = key.removesuffix(FILE)
        if column != key and column in data:
            row[column] = row.pop(key)
    return row
