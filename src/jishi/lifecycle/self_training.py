"""Self-training: what a trained model says of validation rows settles from which confidence it may label rows itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy
import torch

from jishi.core.contracts import Row, SemiSupervision, Task
from jishi.core.errors import TrainingError
from jishi.lifecycle import unlabelled
from jishi.lifecycle.queue import DIGITS
from jishi.metrics.proportion import wilson
from jishi.predictor import AT_ONCE, Predictor


@dataclass(frozen=True)
class Judged:
    """A trained model with its confidences calibrated, what it says of the validation rows (N, K), and its score on them."""

    predictor: Predictor
    probabilities: numpy.ndarray
    right: numpy.ndarray  # (N,) the places of their labels
    score: float


def judge(model: Any, task: Task, processor: Any, validation: Sequence[Row]) -> Judged:
    plain = Predictor(model, task, processor, {})
    predictor = replace(plain, task=task.calibrate(plain.outputs(validation), validation))
    score = task.score(predictor.predict(validation), validation)[task.metric]
    return Judged(predictor, _said(predictor, validation), _places(predictor, validation), score)


def label(
    method: SemiSupervision, judged: Judged, train: Sequence[Row], rows: Sequence[Row]
) -> tuple[list[Row], dict[str, Any]]:
    """The rows that are labelled, with the confidence as "score", and what is told of it. Raises TrainingError where none is."""
    labels = unlabelled.labels(judged.predictor)
    shares = numpy.bincount(_places(judged.predictor, train), minlength=len(labels)) / len(train)
    method = method.settle(judged.probabilities, judged.right, shares)
    said = _said(judged.predictor, rows)
    targets, counts = method.teach(torch.from_numpy(said))
    given, taken = targets.argmax(1).numpy(), counts.numpy() > 0
    sure = said.max(1)
    found = [
        {**rows[place], "label": labels[given[place]], "score": round(float(sure[place]), DIGITS)}
        for place in numpy.flatnonzero(taken)
    ]
    told = _told(method, judged, labels, said, given, taken)
    if not found:
        figures = {"threshold": f"{told['confidence_threshold']:.3f}", "accuracy": f"{judged.score:.3f}"}
        above = int((sure >= told["confidence_threshold"]).sum())
        raise TrainingError("training.unlabelled-unsure", rows=f"{len(rows):,}", above=above, **figures)
    return found, told


def _told(
    method: Any, judged: Judged, labels: Sequence[str], said: numpy.ndarray, given: numpy.ndarray, taken: numpy.ndarray
) -> dict[str, Any]:
    """Of a round: the threshold, how right the validation rows above it are, and what was accepted and refused by class."""
    threshold = float(getattr(method, "threshold", None) or 0.0)
    above = judged.probabilities.max(1) >= threshold
    right = judged.probabilities.argmax(1)[above] == judged.right[above]
    low = said.max(1) < threshold
    masks = {"accepted": taken, "below_threshold": low, "above_share": ~taken & ~low}
    counts = {name: numpy.bincount(given[mask], minlength=len(labels)).tolist() for name, mask in masks.items()}
    return {
        "score": judged.score,
        "confidence_threshold": threshold,
        "validation_above": len(right),
        "precision": float(right.mean()) if len(right) else None,
        "interval": wilson(float(right.mean()), len(right)) if len(right) else None,
        "mean_confidence": float(said[taken].max(1).mean()) if taken.any() else None,
        "labels": {label: {name: found[place] for name, found in counts.items()} for place, label in enumerate(labels)},
    }


def _said(predictor: Predictor, rows: Sequence[Row]) -> numpy.ndarray:
    """The probabilities of all labels (N, K)."""
    source = iter(rows)
    parts = []
    while some := list(islice(source, AT_ONCE)):
        parts.append(unlabelled.ask(predictor, some)["probabilities"])
    return numpy.concatenate(parts)


def _places(predictor: Predictor, rows: Sequence[Row]) -> numpy.ndarray:
    """The place of each row's label, −1 for one that the model has no class for."""
    places = {label: place for place, label in enumerate(unlabelled.labels(predictor))}
    return numpy.array([places.get(row["label"], -1) for row in rows])
