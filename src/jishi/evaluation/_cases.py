"""Single answers as a reader of the report sees them: the wrong ones, the surest first, cut to a readable size."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jishi.core import registry
from jishi.core.contracts import Modality, Prediction, Row, Task

CHARACTERS = 300  # of a text shown
LABELS = 3  # of a distribution shown


def surest(
    task: Task, answers: Sequence[Prediction], rows: Sequence[Row], credits: np.ndarray, *, count: int
) -> list[dict[str, Any]]:
    """The `count` worst answers: how wrong times how sure, so that confident mistakes come first."""
    weight = np.array([1.0 if (sure := confidence(answer)) is None else sure for answer in answers]) * (1 - credits)
    targets = {column for columns in task.targets for column in columns}
    return [
        {
            "row": int(index),
            "input": {
                column: shorten(rows[index][column]) for column in task.columns if rows[index].get(column) is not None
            },
            "previews": previews(task, rows[index]),
            "reference": {column: shorten(rows[index][column]) for column in sorted(targets & rows[index].keys())},
            "prediction": shorten(_top(answers[index])),
            "confidence": confidence(answers[index]),
            "credit": credits[index],
        }
        for index in np.argsort(-weight, kind="stable")[:count]
        if credits[index] < 1
    ]


def previews(task: Task, row: Row) -> dict[str, str]:
    """Small pictures of the inputs that can't be read as text, as data URLs."""
    kinds = {name: registry.get(Modality, kind.rstrip("?"))() for name, kind in task.columns.items()}
    found = {name: kind.preview(row[name]) for name, kind in kinds.items() if row.get(name) is not None}
    return {name: url for name, url in found.items() if url}


def confidence(answer: Prediction) -> float | None:
    """How sure an answer says it is, 0 to 1; None where it doesn't say."""
    score = answer.get("score")
    return None if score is None else float(score)


def shorten(value: Any) -> Any:
    """The value with long texts cut and bytes counted."""
    if isinstance(value, str):
        return value if len(value) <= CHARACTERS else value[: CHARACTERS - 1] + "…"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {str(key): shorten(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shorten(item) for item in value]
    return value if isinstance(value, int | float | None) else f"<{type(value).__name__}>"


def plain(value: Any) -> Any:
    """The value as strict JSON holds it: numpy unwrapped, NaN and infinity as null."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _top(answer: Prediction) -> Prediction:
    """The answer with only the likeliest of its `scores`."""
    if "scores" not in answer:
        return answer
    best = sorted(answer["scores"].items(), key=lambda entry: -entry[1])[:LABELS]
    return {**answer, "scores": dict(best)}
