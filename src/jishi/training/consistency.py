"""Rows without labels in every step: what the model says of one hardly varied, it is to say of the same row varied much.

Each labelled row of a batch brings `ratio` of them, twice: hardly varied ("weak"), then much ("strong"). They stand behind
the labelled rows in one batch, so that padding, pieces, memory and running means know nothing of it, and all that a
step costs is in what is measured of it. Which rows come, and how they are varied, depends on seed, epoch and row only.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np
from torch.nn import functional

from jishi.core import registry
from jishi.core.contracts import Augmentation, Batch, Features, Loss, Row, SemiSupervision, Task
from jishi.core.errors import TrainingError
from jishi.training import guards
from jishi.training.augment import LOOKED, Augment
from jishi.training.features import Encoded
from jishi.training.feed import varied
from jishi.training.spec import TrainSpec

KEY = "unlabelled.method.strong"
SUITED = ("eda", "rand-augment", "cutout")  # where none is named, those of the input's kind
UNKNOWN = -100  # the label of a row without one: losses skip it
STRONG = 2  # sets these draws apart from the weak ones


@dataclass(frozen=True)
class Consistency:
    """The unlabelled rows of a run of so many `labelled` ones, and what is learnt from them."""

    method: SemiSupervision
    task: Task
    processor: Any
    features: Encoded
    weak: Augment | None
    strong: Augment | None
    labelled: int
    progress: Callable[[], float] | None = None  # the share of training that is over

    @classmethod
    def of(
        cls, method: SemiSupervision, task: Task, rows: Sequence[Row], processor: Any, spec: TrainSpec, labelled: int
    ) -> Self:
        """Raises TrainingError for what can't go with it, and for ways that would vary nothing."""
        for code, found in {"regularize": spec.regularize, "no-steps": not spec.epochs}.items():
            if found:
                raise TrainingError(f"training.unlabelled-{code}", method=registry.name_of(method))
        features = Encoded(task, rows, processor)
        guards.check_unknown(features.unknown, spec.max_unknown)
        weak = Augment.of(spec.augment, task, rows, features, processor)
        strong = Augment.of(
            _suited(task) if method.strong is None else method.strong, task, rows, features, processor, KEY
        )
        return cls(method, task, processor, features, weak, strong, labelled)

    def paced(self, progress: Callable[[], float]) -> Self:
        """This, by the progress of a run."""
        return replace(self, progress=progress)

    def beside(self, rows: Sequence[int], seed: int, epoch: int, *, training: bool) -> list[Features]:
        """The unlabelled rows that labelled ones bring in an epoch: all weak, then all strong."""
        places = [self._place(row, number, seed, epoch) for row in rows for number in range(self.method.ratio)]
        views = ((self.weak, ()), (self.strong or self.weak, (STRONG,)))
        return [self._view(place, seed, way, mark, training) for way, mark in views for place in places]

    def _place(self, row: int, number: int, seed: int, epoch: int) -> tuple[int, int]:
        """(pass, row): rows come in the order of a permutation, anew in each pass, so that all are seen as often."""
        passed, place = divmod((epoch * self.labelled + row) * self.method.ratio + number, len(self.features))
        return passed, int(_order(seed, passed, len(self.features))[place])

    def _view(
        self, place: tuple[int, int], seed: int, way: Augment | None, mark: tuple[int, ...], training: bool
    ) -> Features:
        passed, row = place
        drawn = [seed, passed, self.labelled + row, *mark]
        own = varied(self.task, self.features, row, self.processor, drawn, training=training, augment=way)
        return {**own, "labels": UNKNOWN}

    def every(self, seed: int, epochs: int) -> Iterator[Features] | None:
        """All that training will be shown of them; None where that is too much to look through."""
        if 2 * self.method.ratio * self.labelled * epochs > LOOKED:
            return None
        return (one for epoch in range(epochs) for one in self.beside(range(self.labelled), seed, epoch, training=True))

    def loss(self, model: Any, batch: Batch, ask: Callable[[Batch], Loss]) -> Loss:  # noqa: ARG002
        """The loss of the labelled rows and, by its weight, the mean divergence over the unlabelled ones, 0 where one teaches
        nothing. `parts` are that mean and the share of them that teach."""
        found = ask(batch)
        unlabelled = int((batch["labels"] == UNKNOWN).sum())
        outputs = found.outputs.float()
        weak, strong = outputs[-unlabelled:].chunk(2)  # (N, K) each
        targets, counts = self.method.teach(weak.detach().softmax(1))
        apart = functional.kl_div(strong.log_softmax(1), targets.float(), reduction="none").sum(1)
        value = (counts * apart).mean()
        done = self.progress() if self.progress else 1.0
        weight = self.method.weight * (min(1.0, done / self.method.ramp) if self.method.ramp else 1.0)
        parts = {"unlabelled_loss": float(value.detach()), "accepted_share": float((counts > 0).float().mean())}
        return Loss(found.value + weight * value, found.outputs, {**found.parts, **parts}, found.count)


@lru_cache(4)
def _order(seed: int, passed: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, passed, STRONG]).permutation(count)


def _suited(task: Task) -> list[Augmentation]:
    """The strong ways for the kind of the task's inputs, on every row."""
    kinds = {modality.removesuffix("?") for modality in task.columns.values()}
    ways = (registry.get(Augmentation, name)(share=1.0) for name in SUITED)
    return [way for way in ways if way.modality in kinds]
