"""Any number of labels a row, each a yes-or-no question of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy

from jishi.core.contracts import Loss, Prediction
from jishi.core.errors import DataError
from jishi.metrics import classification, temperature
from jishi.tasks import _single

if TYPE_CHECKING:
    import torch

METRIC = "micro_f1"
ANSWERS = {"labels": list, "scores": dict}
CLASSES = False  # whether a row is of one class


class Labelled(_single.Labelled, Protocol):
    """What these functions need of a task."""

    threshold: float


def label(value: Any) -> list[str]:
    """The labels of one row, sorted; none is allowed, None is not."""
    given = value if isinstance(value, list | tuple | set) else [value]
    return sorted({_single.plain(item) for item in given})


def settle(given: tuple[str, ...], values: Sequence[Sequence[str]]) -> dict[str, Any]:
    found = {label for labels in values for label in labels}
    if given and found - set(given):
        raise DataError("tasks.label-not-listed", given=min(found - set(given)), allowed=", ".join(given[:20]))
    if not found:
        raise DataError("tasks.no-label")
    return {"labels": given or tuple(sorted(found))}


def head(task: Labelled) -> Mapping[str, Any]:
    return {**_single.names(task.labels), "problem_type": "multi_label_classification"}


def target(task: Labelled, value: Sequence[str]) -> list[float]:
    return [float(label in value) for label in task.labels]


def gather(targets: Sequence[Sequence[float]]) -> numpy.ndarray:
    """Targets (B, K) of 0 and 1."""
    return numpy.asarray(targets, dtype=numpy.float32)


def loss(task: Labelled, logits: torch.Tensor, targets: torch.Tensor) -> Loss:
    """Binary cross-entropy, the mean over rows and labels."""
    from torch.nn import functional

    smoothed = targets * (1 - task.label_smoothing) + task.label_smoothing / 2
    return Loss(functional.binary_cross_entropy_with_logits(logits.float(), smoothed), logits)


def decode(task: Labelled, logits: numpy.ndarray) -> list[Prediction]:
    """The labels whose calibrated probability reaches the threshold, and the probability of every label."""
    return [answer(task.labels, row, task.threshold) for row in temperature.sigmoid(logits / task.temperature)]


def answer(labels: Sequence[str], probabilities: numpy.ndarray, threshold: float) -> Prediction:
    scores = dict(zip(labels, probabilities.tolist(), strict=True))
    return {"labels": [label for label in labels if scores[label] >= threshold], "scores": scores}


def calibrate(task: Labelled, logits: numpy.ndarray, values: Sequence[Sequence[str]]) -> dict[str, Any]:
    targets = numpy.asarray([target(task, value) for value in values]).reshape(logits.shape)
    return {"temperature": temperature.fit_binary(logits, targets)}


def score(task: Labelled, predictions: Sequence[Prediction], values: Sequence[Sequence[str]]) -> dict[str, float]:  # noqa: ARG001
    return classification.multi_label(values, [prediction["labels"] for prediction in predictions])


def credit(task: Labelled, prediction: Prediction, value: Sequence[str]) -> float:  # noqa: ARG001
    return classification.overlap(value, prediction["labels"])


def details(task: Labelled, predictions: Sequence[Prediction], values: Sequence[Sequence[str]]) -> dict[str, Any]:
    return {
        "per_class": classification.per_class(values, [prediction["labels"] for prediction in predictions], task.labels)
    }


def fit(front: Any, inputs: Any, values: Sequence[Sequence[str]]) -> tuple[str, Callable[[Any], list[Prediction]]]:
    """The plain rival: one logistic regression a label. Raises ValueError."""
    import warnings

    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    labels = sorted({label for row in values for label in row})
    targets = numpy.asarray([[label in row for label in labels] for row in values], dtype=int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label every row has: scikit-learn then always gives it
        model = make_pipeline(front, OneVsRestClassifier(LogisticRegression(C=10, max_iter=1000))).fit(inputs, targets)
    return "logistic regression", lambda given: [answer(labels, row, 0.5) for row in model.predict_proba(given)]


def commonest(values: Sequence[Sequence[str]]) -> Prediction:
    """The answer of a model that knows only how frequent each label is."""
    counts = Counter(label for row in values for label in row)
    return answer(list(counts), numpy.asarray(list(counts.values())) / len(values), 0.5)
