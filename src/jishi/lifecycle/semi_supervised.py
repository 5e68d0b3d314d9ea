"""Rows without labels to learn from: read once, without those that are validation, test or training rows too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jishi.core import registry
from jishi.core.contracts import Row, SemiSupervision, Task, option
from jishi.core.errors import DataError, UsageError
from jishi.data import columns, content
from jishi.data.dataset import Dataset
from jishi.data.spec import PARTS, DataSpec
from jishi.lifecycle.pool import Reader
from jishi.lifecycle.replay import Mixed


@dataclass(frozen=True)
class UnlabelledSpec:
    """Rows without labels, and how they are learnt from; a path alone reads as `data`."""

    data: DataSpec = option(
        en="The rows: a file, or a folder of pictures; a label in them is ignored.",
        zh="无标签数据：文件或图片目录；其中的标签不予使用。",
    )
    method: SemiSupervision = option(
        factory=lambda: registry.get(SemiSupervision, "self-training")(),
        en="How they are learnt from.",
        zh="如何利用它们。",
    )


@dataclass(frozen=True)
class Others:
    """The rows without labels, input columns alone; of those read how many had one, were left out and why, and are there."""

    rows: Sequence[Row]
    counts: Mapping[str, int]


def check(task: Task) -> None:
    """Raises UsageError for a task whose rows have no one label each, of several with a probability."""
    labels: Sequence[str] = getattr(task, "labels", ())
    one = ("label",) in task.targets and task.head().config.get("num_labels") == len(labels) > 1
    if not one or getattr(task, "problem", "") == "multi":
        raise UsageError("training.unlabelled-task", task=registry.name_of(task))


def gather(wanted: UnlabelledSpec, task: Task, data: Dataset) -> Others:
    """Read them. Raises RowError (file:line) at a bad row unless they are skipped, DataError where none is left."""
    inputs = columns.inputs(task)
    names = [column.name for column in inputs]
    known = {
        content.describe({name: row.get(name) for name in names}, inputs).input: part
        for part, rows in data.parts.items()  # where one stands in several, the test part is told
        for row in rows
    }
    left_out = Counter(dict.fromkeys(("refused", "repeated", *(f"in_{part}" for part in PARTS)), 0))
    rows: dict[int, Row] = {}
    reader = Reader(task, labels=False)
    for _, found, row in reader.rows(wanted.data, left_out):
        if found in known:
            left_out[f"in_{known[found]}"] += 1
        elif found in rows:
            left_out["repeated"] += 1
        else:
            rows[found] = {name: row[name] for name in names if name in row}
    if not rows:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in left_out.items() if count)
        names = {"path": wanted.data.train, "given": reader.seen, "reasons": reasons or "0"}
        raise DataError("training.unlabelled-none", **names)
    counts = {"read": reader.seen, "had_label": reader.ignored, **left_out, "rows": len(rows)}
    return Others(list(rows.values()), counts)


def together(rows: Sequence[Row], others: Sequence[Row]) -> Sequence[Row]:
    """The rows, and behind them all the others."""
    return Mixed(rows, others, len(others) / (len(rows) + len(others)))
