"""One label a row: what text and image classification have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy

from jishi.core.contracts import Loss, Prediction
from jishi.core.errors import DataError, RowError
from jishi.metrics import classification, temperature

if TYPE_CHECKING:
    import torch

METRIC = "accuracy"
ANSWERS = {"label": str, "score": float, "scores": dict}
CLASSES = True  # whether a row is of one class
IGNORED = -100  # a label the model has no class for: the loss skips the row, the score counts it as wrong


class Labelled(Protocol):
    """What these functions need of a task."""

    labels: tuple[str, ...]
    temperature: float
    label_smoothing: float


def label(value: Any) -> str:
    """The label of one row as text. Raises RowError where there is none, or several."""
    if isinstance(value, list | tuple | set):
        if len(value) != 1:
            raise RowError("tasks.one-label-wanted", given=list(value))
        value = next(iter(value))
    return plain(value)


def plain(value: Any) -> str:
    """A label as text: 3 and 3.0 are "3". Raises RowError where it says nothing."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None or value != value else str(value).strip()
    if not text:
        raise RowError("tasks.label-missing")
    return text


def settle(given: tuple[str, ...], values: Sequence[str]) -> dict[str, Any]:
    """The labels given, else those of the rows, sorted. Raises DataError for one class only, or one not listed."""
    found = set(values)
    if given and found - set(given):
        raise DataError("tasks.label-not-listed", given=min(found - set(given)), allowed=", ".join(given[:20]))
    if len(found) < 2:
        raise DataError("tasks.one-class", given=next(iter(found), ""))
    return {"labels": given or tuple(sorted(found))}


def head(task: Labelled) -> Mapping[str, Any]:
    return {**names(task.labels), "problem_type": "single_label_classification"}


def names(labels: Sequence[str]) -> dict[str, Any]:
    """The config keys that tell a model its classes."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def target(task: Labelled, value: str) -> int:
    return task.labels.index(value) if value in task.labels else IGNORED


def gather(targets: Sequence[int]) -> numpy.ndarray:
    """Targets (B,) int64."""
    return numpy.asarray(targets, dtype=numpy.int64)


def loss(task: Labelled, logits: torch.Tensor, targets: torch.Tensor) -> Loss:
    """Cross-entropy, the mean over the rows that have a known label."""
    from torch.nn import functional

    total = functional.cross_entropy(
        logits.float(), targets, ignore_index=IGNORED, label_smoothing=task.label_smoothing, reduction="sum"
    )
    count = int((targets != IGNORED).sum())
    return Loss(total / max(count, 1), logits, count=count)


def decode(task: Labelled, logits: numpy.ndarray) -> list[Prediction]:
    """The likeliest label of each row of logits (N, K), and the calibrated probability of every label."""
    return [answer(task.labels, row) for row in temperature.softmax(logits / task.temperature)]


def answer(labels: Sequence[str], probabilities: numpy.ndarray) -> Prediction:
    best = int(probabilities.argmax())
    return {
        "label": labels[best],
        "score": float(probabilities[best]),
        "scores": dict(zip(labels, probabilities.tolist(), strict=True)),
    }


def calibrate(task: Labelled, logits: numpy.ndarray, values: Sequence[str]) -> dict[str, Any]:
    targets = numpy.asarray([target(task, value) for value in values], dtype=int)
    known = targets != IGNORED
    return {"temperature": temperature.fit(logits[known], targets[known])}


def score(task: Labelled, predictions: Sequence[Prediction], values: Sequence[str]) -> dict[str, float]:  # noqa: ARG001
    return classification.single_label(values, [prediction["label"] for prediction in predictions])


def credit(task: Labelled, prediction: Prediction, value: str) -> float:  # noqa: ARG001
    return float(prediction["label"] == value)


def details(task: Labelled, predictions: Sequence[Prediction], values: Sequence[str]) -> dict[str, Any]:
    given = [prediction["label"] for prediction in predictions]
    table = classification.per_class(values, given, task.labels)
    labels = [row["label"] for row in table]
    return {
        "per_class": table,
        "confusion": {"labels": labels, "matrix": classification.confusion(values, given, labels).tolist()},
    }


def fit(front: Any, inputs: Any, values: Sequence[str]) -> tuple[str, Callable[[Any], list[Prediction]]]:
    """The plain rival: logistic regression on what the transformer `front` makes of the inputs. Raises ValueError."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(front, LogisticRegression(C=10, max_iter=1000)).fit(inputs, values)
    labels = model.classes_.tolist()
    return "logistic regression", lambda given: [answer(labels, row) for row in model.predict_proba(given)]


def commonest(values: Sequence[str]) -> Prediction:
    """The answer of a model that knows only how frequent each label is."""
    counts = Counter(values)
    return answer(list(counts), numpy.asarray(list(counts.values())) / len(values))
