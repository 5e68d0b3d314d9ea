"""The smallest task there is, a line through points, and a loop that trains it: numbers can be worked out by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from jishi.core.contracts import Features, Head, Loss, Prediction, Row, Task
from jishi.training.loop import Event, Loop
from jishi.training.spec import TrainSpec

# Nothing that would depend on the machine.
PLAIN = {"precision": "fp32", "threads": 1}


@dataclass(frozen=True)
class Points(Task):
    """Rows `{"x": [a, b], "y": number}`, with "length" (1), "unknown" and "truncated" where a test wants them."""

    columns = {"x": "text"}
    metric = "near"

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        return raw

    def head(self) -> Head:
        return Head("")

    def encode(self, row: Row, processor: Any) -> Features:
        return {"length": 1, **row}

    def collate(self, features: Sequence[Features], processor: Any) -> dict[str, Any]:
        return {
            "x": torch.tensor([feature["x"] for feature in features]),
            "labels": torch.tensor([feature["y"] for feature in features]),
        }

    def forward(self, model: Any, batch: dict[str, Any]) -> Any:
        return model(batch["x"])

    def loss(self, model: Any, batch: dict[str, Any]) -> Loss:
        outputs = self.forward(model, batch)
        return Loss(((outputs[:, 0] - batch["labels"]) ** 2).mean(), outputs)

    def decode(self, outputs: Any, features: Sequence[Features], processor: Any) -> list[Prediction]:
        return [{"value": float(output[0])} for output in outputs]

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        """`near`: the share of answers within 1 of the truth."""
        credits = [self.credit(prediction, row) for prediction, row in zip(predictions, rows, strict=True)]
        return {"near": sum(credits) / len(credits)}

    def credit(self, prediction: Prediction, row: Row) -> float:
        return float(abs(prediction["value"] - row["y"]) <= 1)

    def baseline(self, rows: Sequence[Row]) -> Any:
        raise AssertionError("no test asks for it")


class Net(torch.nn.Module):
    """Two layers: `body` (2 → 4), dropout, `head` (4 → 1)."""

    def __init__(self, seed: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.body = torch.nn.Linear(2, 4)
            self.head = torch.nn.Linear(4, 1)
        self.dropout = torch.nn.Dropout(dropout)
        self.device = torch.device("cpu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(torch.tanh(self.body(x))))


def rows(count: int, **extra: Any) -> list[dict[str, Any]]:
    """Points of y = a − b + 1, no two alike."""
    return [
        {"x": [index / 7, (index % 5) / 3], "y": index / 7 - (index % 5) / 3 + 1, **extra} for index in range(count)
    ]


def loop(
    folder: Path, train: Sequence[Row], validation: Sequence[Row] | None = None, *, model: Any = None,
    objective: Any = None, head: Sequence[str] = ("head",), seed: int = 0, adaptation: Any = None, **settings: Any,
) -> Loop:  # fmt: skip
    return Loop(
        model or Net(), objective or Points(), None, TrainSpec(**{**PLAIN, **settings}),
        train=train, validation=validation, head=list(head), learning_rate=1e-2, folder=folder, seed=seed,
        adaptation=adaptation,
    )  # fmt: skip


def run(one: Loop, *, stop_at: int | None = None, resume: bool = True) -> list[Event]:
    """Every event of a loop, asked to stop after the step `stop_at`."""
    events = []
    for event in one.events(resume=resume):
        events.append(event)
        if event.kind == "step" and event.step == stop_at:
            one.stop = True
    return events


def steps(events: Sequence[Event], kind: str) -> list[int]:
    return [event.step for event in events if event.kind == kind]


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def same(left: Mapping[str, torch.Tensor], right: Mapping[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
