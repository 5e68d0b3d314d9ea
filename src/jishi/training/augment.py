"""Training rows varied anew in each epoch, by what a spec names; held-out rows, and the rows a head is fitted on, never are."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np

from jishi.core import registry
from jishi.core.contracts import Augmentation, Features, Objective, Row, Task
from jishi.core.errors import TrainingError

STREAM = 1  # sets these draws apart from those of `Objective.vary`; a trailing 0 would not
TRIED = 256  # rows, spread over all, of which a way must vary one
TIMED = 64
LOOKED = 100_000  # varied rows that are looked through before training: half a minute to two

Change = Callable[[np.random.Generator, str, Any], Any]  # of a column's value


@dataclass(frozen=True)
class Augment:
    """Input column → the ways that vary it, one after the other. How a row is varied depends on seed, epoch and row only."""

    ways: Mapping[str, Sequence[Augmentation]]
    objective: Objective
    rows: Sequence[Row]
    processor: Any

    @classmethod
    def of(
        cls, asked: Sequence[Augmentation], objective: Objective, rows: Sequence[Row], features: Sequence[Features],
        processor: Any, key: str = "train.augment",
    ) -> Self | None:  # fmt: skip
        """None where nothing is asked, under the `key`. Raises TrainingError for what would spoil targets, or vary nothing."""
        if not asked:
            return None
        if not isinstance(objective, Task):
            raise TrainingError("training.augment-objective", key=key, given=registry.name_of(objective))
        ways: dict[str, list[Augmentation]] = defaultdict(list)
        for way in asked:
            found = _columns(way, objective, key)
            ready = way.initialize(row[column] for row in rows for column in found if row.get(column) is not None)
            _check_varies(cls({column: [ready] for column in found}, objective, rows, processor), features, way, key)
            for column in found:
                ways[column].append(ready)
        return cls(ways, objective, rows, processor)

    def __call__(self, features: Features, row: int, seed: Sequence[int]) -> Features:
        """The features of a row as `seed` varies them."""
        return self._revised(features, row, seed, self._change)

    def _revised(self, features: Features, row: int, seed: Sequence[int], change: Change) -> Features:
        rng = np.random.default_rng([*seed, STREAM])
        return self.objective.revise(features, self.rows[row], self.processor, partial(change, rng))

    def _change(self, rng: np.random.Generator, column: str, value: Any) -> Any:
        for way in self.ways.get(column, ()):
            if rng.random() < way.share:
                value = way.vary(value, rng)
        return value

    def every(self, features: Sequence[Features], seed: int, epochs: int) -> Iterable[Features] | None:
        """All that training will be shown, the rows of every epoch; None where that is too much to look through."""
        if epochs * len(features) > LOOKED:
            return None
        return (self(own, row, [seed, epoch, row]) for epoch in range(epochs) for row, own in enumerate(features))

    def told(self, features: Sequence[Features], seed: int) -> dict[str, float]:
        """Of some rows of the first epoch: the share of texts and pictures that are varied, tokens against before, milliseconds
        a row, and the share of tokens unknown to the vocabulary."""
        places, seen = _spread(len(features), TIMED), []
        own = [features[row] for row in places]

        def look(rng: np.random.Generator, column: str, value: Any) -> Any:
            varied = self._change(rng, column, value)
            seen.append(varied != value)
            return varied

        start = time.perf_counter()
        varied = [self._revised(one, row, [seed, 0, row], look) for one, row in zip(own, places, strict=True)]
        spent = time.perf_counter() - start
        before, after = (sum(one["length"] for one in some) for some in (own, varied))
        return {
            "varied": sum(seen) / len(seen),
            "length": after / before,
            "milliseconds": 1000 * spent / len(own),
            "unknown": sum(one.get("unknown", 0.0) * one["length"] for one in varied) / after,
        }


def _columns(way: Augmentation, objective: Objective, key: str) -> list[str]:
    """The input columns that a way may vary. Raises TrainingError where there is none."""
    kinds = {column: modality.removesuffix("?") for column, modality in objective.columns.items()}
    found = [column for column, kind in kinds.items() if kind == way.modality and column not in objective.learnt]
    if not found:
        names = {"key": key, "given": registry.name_of(way), "task": registry.name_of(objective)}
        raise TrainingError("training.augment-no-column", **names, modality=way.modality)
    free = [column for column in found if way.in_place or column not in objective.pointed]
    if not free:
        others = (registry.get(Augmentation, name) for name in registry.names(Augmentation))
        allowed = [registry.name_of(one) for one in others if one.in_place and one.modality == way.modality]
        names = {"key": key, "given": registry.name_of(way), "task": registry.name_of(objective)}
        raise TrainingError("training.augment-moves", **names, allowed=", ".join(allowed))
    return free


def _check_varies(one: Augment, features: Sequence[Features], way: Augmentation, key: str) -> None:
    """Raises TrainingError where a way leaves all of the rows tried as they are."""
    rng = np.random.default_rng(0)
    places = _spread(len(features), TRIED)
    for place in places:
        seen: list[bool] = []

        def look(column: str, value: Any, seen: list[bool] = seen) -> Any:
            varied = [own.vary(value, rng) for own in one.ways.get(column, ())]
            seen.extend(other != value for other in varied)
            return value

        one.objective.revise(features[place], one.rows[place], one.processor, look)
        if any(seen):
            return
    raise TrainingError("training.augment-idle", key=key, given=registry.name_of(way), rows=len(places))


def _spread(count: int, most: int) -> list[int]:
    """At most so many places, at even distances."""
    return [place * count // most for place in range(most)] if count > most else list(range(count))
