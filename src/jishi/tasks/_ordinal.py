"""One of several grades in order (marks, stars, severity): a near miss is less wrong than a far one.

CORN (arXiv:2111.08851): K − 1 outputs, of which number k says whether a row that reached grade k goes beyond it, and learns from
those rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy

from jishi.core.contracts import Loss, Prediction
from jishi.core.errors import DataError
from jishi.metrics import classification, ordinal, temperature
from jishi.tasks import _single

if TYPE_CHECKING:
    import torch

METRIC = "quadratic_kappa"
CLASSES = True  # whether a row is of one class
ANSWERS = _single.ANSWERS
label, target, gather, details = _single.label, _single.target, _single.gather, _single.details
fit, commonest, credit = _single.fit, _single.commonest, _single.credit  # right or not: so confidence is held to it


def settle(given: tuple[str, ...], values: Sequence[str]) -> dict[str, Any]:
    """The labels given, worst to best, else those of the rows if they are numbers. Raises DataError where no order is known."""
    found: tuple[str, ...] = _single.settle(given, values)["labels"]
    if given:
        return {"labels": found}
    try:
        return {"labels": tuple(sorted(found, key=float))}
    except ValueError:
        raise DataError("tasks.no-order", given=", ".join(found[:20])) from None


def head(task: _single.Labelled) -> Mapping[str, Any]:
    """One output a step from one grade to the next."""
    return {**_single.names([f"> {grade}" for grade in task.labels[:-1]]), "problem_type": None}


def loss(task: _single.Labelled, logits: torch.Tensor, targets: torch.Tensor) -> Loss:
    """Binary cross-entropy, the mean over the steps that the rows reached."""
    import torch

    steps = torch.arange(logits.shape[1], device=logits.device)
    reached = targets[:, None] >= steps  # (B, K - 1); a row of unknown grade reached none
    beyond = (targets[:, None] > steps).float() * (1 - task.label_smoothing) + task.label_smoothing / 2
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), beyond, reduction="none")
    count = int(reached.sum())
    return Loss((losses * reached).sum() / max(count, 1), logits, count=count)


def decode(task: _single.Labelled, logits: numpy.ndarray) -> list[Prediction]:
    """The highest grade that each row of outputs (N, K - 1) more likely reaches than not, and every grade's probability.

    The temperature changes the probabilities, not the grade.
    """
    grades = (numpy.cumprod(temperature.sigmoid(logits), axis=1) > 0.5).sum(1)
    beyond = numpy.cumprod(temperature.sigmoid(logits / task.temperature), axis=1)
    ends = numpy.ones((len(logits), 1)), numpy.zeros((len(logits), 1))
    probabilities = -numpy.diff(numpy.hstack([ends[0], beyond, ends[1]]), axis=1)  # (N, K)
    return [
        {**_single.answer(task.labels, row), "label": task.labels[grade], "score": float(row[grade])}
        for row, grade in zip(probabilities, grades, strict=True)
    ]


def calibrate(task: _single.Labelled, logits: numpy.ndarray, values: Sequence[str]) -> dict[str, Any]:
    targets = numpy.asarray([target(task, value) for value in values], dtype=int)[:, None]
    steps = numpy.arange(logits.shape[1])
    reached = targets >= steps
    return {"temperature": temperature.fit_binary(logits[reached], (targets > steps)[reached])}


def score(task: _single.Labelled, predictions: Sequence[Prediction], values: Sequence[str]) -> dict[str, float]:
    """Quadratic-weighted kappa, mean absolute error in grades, accuracy, macro F1."""
    truth, given = _grades(task, predictions, values)
    scores = classification.single_label(values, [prediction["label"] for prediction in predictions])
    return {**ordinal.ordinal(truth, given), "accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"]}


def _grades(
    task: _single.Labelled, predictions: Sequence[Prediction], values: Sequence[str]
) -> tuple[list[int], list[int]]:
    """True and given grades as places from 0; a grade that the task does not know is as far from the answer as can be."""
    places = {grade: place for place, grade in enumerate(task.labels)}
    last = len(places) - 1
    given = [places[prediction["label"]] for prediction in predictions]
    truth = [places.get(value, 0 if 2 * near > last else last) for value, near in zip(values, given, strict=True)]
    return truth, given
