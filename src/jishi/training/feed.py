"""The batches of an epoch, made ahead by worker processes where there are any."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from jishi.core.contracts import Batch, Features, Objective
from jishi.training.augment import Augment

Piece = tuple[list[int], Batch]  # rows that are computed at once, and their batch


def varied(
    objective: Objective, features: Sequence[Features], row: int, processor: Any, seed: Sequence[int], *, training: bool,
    augment: Augment | None = None,
) -> Features:  # fmt: skip
    """The features of a row with the random part of encoding; an objective that mixes is shown another row's beside them."""
    rng = np.random.default_rng(seed)
    own = augment(features[row], row, seed) if augment and training else features[row]
    if objective.mixes:
        other = (row + int(rng.integers(1, max(2, len(features))))) % len(features)
        own = {**own, "other": features[other]}
    return objective.vary(own, processor, rng, training=training)


@dataclass(frozen=True)
class Maker:
    """Makes the batch of some rows; a row's random part depends on seed, epoch and row only, whoever makes it.

    `beside` gives the features that stand behind those of the rows.
    """

    objective: Objective
    processor: Any
    features: Sequence[Features]
    seed: int
    epoch: int
    augment: Augment | None = None
    beside: Callable[..., list[Features]] | None = None

    def __call__(self, rows: Sequence[int], *, training: bool = True) -> Batch:
        drawn = [self.seed, self.epoch]
        found = [
            varied(
                self.objective, self.features, row, self.processor, [*drawn, row], training=training, augment=self.augment
            )
            for row in rows
        ]  # fmt: skip
        if self.beside:
            found += self.beside(rows, self.seed, self.epoch, training=training)
        return self.objective.collate(found, self.processor)


class _Made(Dataset[Batch]):
    def __init__(self, make: Maker, pieces: Sequence[Sequence[int]]) -> None:
        self.make, self.pieces = make, pieces

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, index: int) -> Batch:
        return self.make(self.pieces[index])


def feed(make: Maker, windows: Sequence[Sequence[list[int]]], *, workers: int, pinned: bool) -> Iterator[list[Piece]]:
    """For each window its pieces with their batches, in order. Takes nothing from torch's random state."""
    pieces = [piece for window in windows for piece in window]
    loader = DataLoader(
        _Made(make, pieces), batch_size=None, num_workers=workers, pin_memory=pinned, generator=torch.Generator(),
        collate_fn=_as_it_is,
    )  # fmt: skip
    batches = iter(loader)
    for window in windows:
        yield [(piece, next(batches)) for piece in window]


def _as_it_is(batch: Batch) -> Batch:
    return batch
