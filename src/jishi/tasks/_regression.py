"""A number a row. Targets are standardised by the training rows, so one learning rate suits every unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy

from jishi.core.contracts import Loss, Prediction
from jishi.core.errors import DataError, RowError
from jishi.metrics import regression

if TYPE_CHECKING:
    import torch

METRIC = "pearson"
ANSWERS = {"value": float}
CLASSES = False  # whether a row is of one class


class Scaled(Protocol):
    """What these functions need of a task."""

    mean: float
    deviation: float


def label(value: Any) -> float:
    """The number of one row. Raises RowError where it is none, or not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise RowError("tasks.label-no-number", given=repr(value)[:80]) from None
    if not numpy.isfinite(number):
        raise RowError("tasks.label-no-number", given=repr(value)[:80])
    return number


def settle(given: tuple[str, ...], values: Sequence[float]) -> dict[str, Any]:  # noqa: ARG001
    deviation = float(numpy.std(values))
    if not deviation > 0:
        raise DataError("tasks.one-value", given=values[0] if values else "")
    return {"labels": (), "mean": float(numpy.mean(values)), "deviation": deviation}


def head(task: Scaled) -> Mapping[str, Any]:  # noqa: ARG001
    return {"num_labels": 1, "problem_type": "regression"}


def target(task: Scaled, value: float) -> float:
    return (value - task.mean) / task.deviation


def gather(targets: Sequence[float]) -> numpy.ndarray:
    """Targets (B,)."""
    return numpy.asarray(targets, dtype=numpy.float32)


def loss(task: Scaled, logits: torch.Tensor, targets: torch.Tensor) -> Loss:  # noqa: ARG001
    """Mean squared error in standard deviations."""
    from torch.nn import functional

    return Loss(functional.mse_loss(logits.float().squeeze(-1), targets), logits)


def decode(task: Scaled, logits: numpy.ndarray) -> list[Prediction]:
    """The value of each row of outputs (N, 1), in the unit of the data."""
    return [answer(value) for value in logits[:, 0] * task.deviation + task.mean]


def answer(value: float) -> Prediction:
    return {"value": float(value)}


def calibrate(task: Scaled, logits: numpy.ndarray, values: Sequence[float]) -> dict[str, Any]:  # noqa: ARG001
    return {}


def score(task: Scaled, predictions: Sequence[Prediction], values: Sequence[float]) -> dict[str, float]:  # noqa: ARG001
    return regression.regression(values, [prediction["value"] for prediction in predictions])


def credit(task: Scaled, prediction: Prediction, value: float) -> float:
    """1 for the exact number, falling by e for every standard deviation of error."""
    return float(numpy.exp(-abs(prediction["value"] - value) / task.deviation))


def details(task: Scaled, predictions: Sequence[Prediction], values: Sequence[float]) -> dict[str, Any]:  # noqa: ARG001
    return {}


def fit(front: Any, inputs: Any, values: Sequence[float]) -> tuple[str, Callable[[Any], list[Prediction]]]:
    """The plain rival: ridge regression. Raises ValueError."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(front, Ridge()).fit(inputs, values)
    return "ridge regression", lambda given: [answer(value) for value in model.predict(given)]


def commonest(values: Sequence[float]) -> Prediction:
    """The answer of a model that knows only the mean."""
    return answer(float(numpy.mean(values)))
