"""Where a model fails: groups of rows that share a fact (length, script, brightness, label), the worst first."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jishi.core import registry
from jishi.core.contracts import Modality, Row, Task
from jishi.metrics.proportion import wilson

LEAST_ROWS, LEAST_SHARE = 20, 0.05
BUCKETS = 4


def worst(task: Task, rows: Sequence[Row], credits: np.ndarray, *, count: int, level: float) -> list[dict[str, Any]]:
    """The `count` slices below the whole whose mean credit is surely lowest: sorted by the upper end of their interval.

    A slice holds at least 20 rows or 5 % of them. `worse` says that it is below the whole set beyond luck, the number of
    slices looked at taken into account (Bonferroni).
    """
    groups = {key: members for key, members in _groups(task, rows) if _large(len(members), len(rows))}
    strict = 1 - (1 - level) / max(1, len(groups))
    overall = float(credits.mean())
    found = []
    for (column, value), members in groups.items():
        mean = float(credits[members].mean())
        if mean >= overall:
            continue
        low, high = wilson(mean, len(members), level)
        worse = wilson(mean, len(members), strict)[1] < overall
        entry = {"by": column, "value": value, "rows": len(members), "share": len(members) / len(rows)}
        found.append({**entry, "credit": mean, "low": low, "high": high, "worse": worse})
    return sorted(found, key=lambda entry: (entry["high"], entry["by"], entry["value"]))[:count]


def _large(members: int, rows: int) -> bool:
    return members < rows and (members >= LEAST_ROWS or members >= LEAST_SHARE * rows)


def _groups(task: Task, rows: Sequence[Row]) -> Iterator[tuple[tuple[str, str], list[int]]]:
    """Every group as ((what it is by, its value), row indices)."""
    for column, modality in task.columns.items():
        reader = registry.get(Modality, modality.rstrip("?"))()
        facts: dict[str, dict[int, Any]] = {}
        for index, row in enumerate(rows):
            if row.get(column) is not None:
                for fact, value in reader.statistics(reader.read(row[column])).items():
                    facts.setdefault(fact, {})[index] = value
        for fact, values in facts.items():
            for value, members in _split(values).items():
                yield (f"{column} {fact}", value), members
    if task.generates:  # a text is no group
        return
    for column in sorted({column for columns in task.targets for column in columns}):
        references = {index: row[column] for index, row in enumerate(rows) if row.get(column) is not None}
        for value, members in _split(references).items():
            yield (column, value), members


def _split(values: Mapping[int, Any]) -> dict[str, list[int]]:
    """Row indices by value; numbers by quartile, lists by each label they hold."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values.values())
    named = _buckets(values) if numbers and values else {index: _labels(value) for index, value in values.items()}
    groups: dict[str, list[int]] = {}
    for index, labels in named.items():
        for label in sorted(labels):
            groups.setdefault(label, []).append(index)
    return groups


def _labels(value: Any) -> set[str]:
    if isinstance(value, list | tuple):
        return {str(item.get("label", "∃") if isinstance(item, Mapping) else item) for item in value} or {"∅"}
    return {str(value)}


def _buckets(values: Mapping[int, float]) -> dict[int, set[str]]:
    """Numbers as the range of their quartile; equal numbers always share one."""
    array = np.array(list(values.values()), dtype=float)
    edges = np.unique(np.quantile(array, np.arange(1, BUCKETS) / BUCKETS, method="lower"))
    place = np.searchsorted(edges, array, side="left")
    names = {int(bucket): _range(array[place == bucket]) for bucket in np.unique(place)}
    return {index: {names[int(bucket)]} for index, bucket in zip(values, place, strict=True)}


def _range(numbers: np.ndarray) -> str:
    low, high = f"{numbers.min():.4g}", f"{numbers.max():.4g}"
    return low if low == high else f"{low} – {high}"
