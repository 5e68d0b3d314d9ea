"""What a bundle says of rows without labels: how likely each label is, what its head reads, and its answers under dropout."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy
import torch
from torch import nn

from jishi.core import registry
from jishi.core.contracts import Prediction, Row
from jishi.core.errors import ModelError, UsageError
from jishi.models import heads
from jishi.predictor import Predictor

Said = Mapping[str, numpy.ndarray]


def check(predictor: Predictor) -> None:
    """Raises UsageError where the task gives no row a probability for each of its labels."""
    task = predictor.task
    if ("label",) not in task.targets or not getattr(task, "labels", ()):
        raise UsageError("label.no-scores", task=registry.name_of(task))


def several(predictor: Predictor) -> bool:
    """Whether a row may have any number of labels."""
    return getattr(predictor.task, "problem", "") == "multi"


def ask(predictor: Predictor, rows: Sequence[Row], passes: int = 0, seed: int = 0) -> Said:
    """ "probabilities" (N, K), and which labels are "given" (N, K); "vectors" (N, D), where the head reads one vector a row; with
    `passes`, "passes" (P, N, K).

    Raises ModelError where answers under dropout are asked of a model that has none.
    """
    encoded = [predictor.encode(row) for row in rows]
    order = sorted(range(len(rows)), key=lambda place: encoded[place]["length"])  # so they are answered in
    back = numpy.argsort(order)
    features = [encoded[place] for place in order]
    with _watched(predictor.model) as seen:
        answers = predictor.answer(features)
    found = {"probabilities": _table(predictor, answers)[back], "given": _given(predictor, answers)[back]}
    vectors = numpy.concatenate(seen) if seen else numpy.zeros((0, 0))
    if len(vectors) == len(rows):
        found["vectors"] = vectors[back]
    if passes:
        with _dropping(predictor.model), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            again = [_table(predictor, predictor.answer(features)) for _ in range(passes)]
        found["passes"] = numpy.stack(again).astype(numpy.float32)[:, back]
    return found


def _table(predictor: Predictor, answers: Sequence[Prediction]) -> numpy.ndarray:
    """The probabilities of all labels (N, K), in the task's order."""
    return numpy.array([[answer["scores"][label] for label in labels(predictor)] for answer in answers])


def _given(predictor: Predictor, answers: Sequence[Prediction]) -> numpy.ndarray:
    """Which labels the answers are (N, K)."""
    named = [set(answer.get("labels", [answer.get("label")])) for answer in answers]
    return numpy.array([[label in names for label in labels(predictor)] for names in named])


def labels(predictor: Predictor) -> Sequence[str]:
    """The labels of the task, in its order."""
    return predictor.task.labels  # type: ignore[attr-defined,no-any-return]


@contextmanager
def _watched(model: Any) -> Iterator[list[numpy.ndarray]]:
    """While this holds, what the last layer of the head reads is noted, batch by batch; nothing where there is no such layer."""
    seen: list[numpy.ndarray] = []
    layers = [
        layer
        for name in heads.head_modules(model)
        for layer in model.get_submodule(name).modules()
        if isinstance(layer, nn.Linear) and layer.out_features == model.config.num_labels
    ]
    if not layers:
        yield seen
        return
    hook = layers[-1].register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].detach().float().cpu().numpy()) if inputs[0].dim() == 2 else None
    )
    try:
        yield seen
    finally:
        hook.remove()


@contextmanager
def _dropping(model: Any) -> Iterator[None]:
    """While this holds, the dropout layers drop as in training, though all else answers as ever."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Dropout) and layer.p > 0]
    if not layers:
        raise ModelError("label.no-dropout")
    for layer in layers:
        layer.forward = lambda x, rate=layer.p: nn.functional.dropout(x, rate, training=True)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
