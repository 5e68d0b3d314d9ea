"""A task small enough to check by hand: the model, its rival and its modality are tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from jishi.core import registry
from jishi.core.contracts import Modality, Task


class Words(Modality):
    def read(self, value):
        return value

    def augment(self, raw, rng):
        return raw

    def corrupt(self, raw, severity, rng):
        return raw

    def statistics(self, raw):
        return {"length": len(raw), "script": "latin" if raw.isascii() else "han"}


@dataclass(frozen=True)
class Naming(Task):
    """Which label a text carries: accuracy, and F1 averaged over the labels; `decisive` picks the metric."""

    columns: ClassVar[dict[str, str]] = {"text": "text", "note": "text?"}
    targets: ClassVar[tuple[tuple[str, ...], ...]] = (("label",),)
    metric: ClassVar[str] = "accuracy"

    def parse(self, raw, *, training=True):
        return raw

    def head(self):
        raise AssertionError("evaluation builds no head")

    encode = collate = loss = forward = decode = baseline = None

    def score(self, predictions: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> dict[str, float]:
        pairs = Counter((answer["label"], row["label"]) for answer, row in zip(predictions, rows, strict=True))
        given, true = Counter(), Counter()
        for (answer, label), count in pairs.items():
            given[answer] += count
            true[label] += count
        f1 = [2 * pairs[label, label] / (given[label] + true[label]) for label in true]
        return {"accuracy": sum(pairs[label, label] for label in true) / len(rows), "macro_f1": sum(f1) / len(f1)}

    def credit(self, prediction, row):
        return float(prediction["label"] == row["label"])

    def details(self, predictions, rows):
        return {"per_class": {"a": {"f1": 1.0}}}


class Averaging(Naming):
    metric = "macro_f1"


for _task in (Naming, Averaging):
    _task.__abstractmethods__ = frozenset()


@pytest.fixture
def naming(monkeypatch: pytest.MonkeyPatch) -> type[Naming]:
    monkeypatch.setattr(registry, "get", lambda contract, name: {"text": Words}[name])
    return Naming


@pytest.fixture
def averaging(naming) -> type[Averaging]:
    return Averaging
