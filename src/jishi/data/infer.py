"""Which task some rows are for: the one that reads them, and the most of their columns."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from jishi.core import registry
from jishi.core.contracts import Task
from jishi.core.errors import DataError, RowError
from jishi.data import columns, places
from jishi.data.sources import formats
from jishi.data.sources.limits import Limits
from jishi.data.spec import DataSpec

ROWS = 20  # looked at


def infer(spec: DataSpec) -> Task:
    """The task, with its defaults, that the first training rows fit. Raises DataError where none does, or several do."""
    path = places.find(spec)["train"][0]
    limits = Limits(spec.max_row_bytes, spec.encoding)
    found = list(islice(formats.rows(path, limits), ROWS))
    rows = [columns.rename(raw, spec.columns) for _, raw in found if not isinstance(raw, RowError)]
    if not found:
        raise DataError("data.no-rows", path=path)
    if not rows:
        raise RowError("data.bad-row", where=found[0][0], reason=found[0][1])
    return registry.get(Task, infer_task(rows, path.parent))()


def infer_task(rows: Sequence[Mapping[str, Any]], folder: Path = Path()) -> str:
    """The name of the task for some raw rows under canonical names; `folder` is where their relative paths begin.

    Raises DataError, naming what each task needs.
    """
    tasks = {name: registry.get(Task, name) for name in registry.names(Task)}
    given = {str(column) for row in rows for column in row}
    fitting = {name: _explained(task, rows) for name, task in tasks.items() if _reads(task, rows, folder)}
    best = [name for name, count in fitting.items() if count == max(fitting.values())]
    if len(best) == 1:
        return best[0]
    needs = "; ".join(f"{name}: {_needs(task)}" for name, task in tasks.items())
    code = "data.ambiguous-task" if best else "data.no-task"
    raise DataError(code, given=", ".join(sorted(given)), found=", ".join(best), allowed=needs)


def _reads(task: type[Task], rows: Sequence[Mapping[str, Any]], folder: Path) -> bool:
    """Whether a task can read one of the rows, and finds a target in it."""
    binary = [column for column in columns.inputs(task) if column.modality.binary]
    for row in rows:
        try:
            found = task().parse(columns.resolve(columns.canonical(row, task.aliases), binary, folder))
        except RowError:
            continue
        if any(target and all(found.get(name) is not None for name in target) for target in task.targets):
            return True
    return False


def _explained(task: type[Task], rows: Sequence[Mapping[str, Any]]) -> int:
    """How many of the columns a task names."""
    given = {str(column) for row in rows for column in columns.canonical(row, task.aliases)}
    return len(given & set(task.columns)) + max(len(given & set(target)) for target in task.targets)


def _needs(task: type[Task]) -> str:
    inputs = [name for name, modality in task.columns.items() if not modality.endswith("?")] or ["/".join(task.columns)]
    targets = " / ".join(" + ".join(target) for target in task.targets if target)
    return " + ".join(filter(None, [*inputs, targets]))
