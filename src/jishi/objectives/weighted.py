"""Several objectives at once, on one backbone and in one pass of it; what is minimised is the weighted sum of their losses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy
from pydantic import Field

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Objective, Row, option
from jishi.core.errors import UsageError
from jishi.models import beside

TARGETS = "labels"  # what is a part's own; all else the parts share


@dataclass(frozen=True)
class Part:
    """An objective and what it weighs."""

    objective: Objective = option(en="The objective, or a classification task.", zh="目标，或分类任务。")
    weight: Annotated[float, Field(gt=0)] = option(1.0, "What its loss is multiplied by.", "其损失的权重。")


@dataclass(frozen=True)
class Weighted(Objective):
    """Rows: what its parts need. All read the same text in one pass: masked-lm with next-sentence is BERT's objective
    (arXiv:1810.04805); add text-classification where rows have labels. The first gives the base its head.
    """

    parts: tuple[Part, ...] = option(
        factory=lambda: tuple(Part(registry.get(Objective, name)()) for name in ("masked-lm", "next-sentence")),
        en="The objectives, each with its weight; of a language model and others it comes first.",
        zh="各目标及其权重；语言模型目标须排在首位。",
    )

    def __post_init__(self) -> None:
        """Raises UsageError where there is no objective, or one twice."""
        names = [registry.name_of(part.objective) for part in self.parts]
        if not names or len(set(names)) < len(names):
            raise UsageError("objectives.which-parts", given=", ".join(names) or "[]")

    @property
    def columns(self) -> Mapping[str, str]:  # type: ignore[override]
        """Those of all parts; one is optional where it is in all that have it."""
        found: dict[str, str] = {}
        for part in self.parts:
            for name, modality in part.objective.columns.items():
                found[name] = min(found.get(name, modality), modality, key=len)
        return found

    @property
    def targets(self) -> tuple[tuple[str, ...], ...]:  # type: ignore[override]
        return (tuple(dict.fromkeys(name for part in self.parts for name in part.objective.targets[0])),)

    @property
    def marks(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(dict.fromkeys(mark for part in self.parts for mark in part.objective.marks))

    @property
    def mixes(self) -> bool:  # type: ignore[override]
        return any(part.objective.mixes for part in self.parts)

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        """What each part reads, one after the other, so that a text which one cuts in two is a pair for all."""
        row: Row = {}
        for place in self._order():
            row = {**row, **self.parts[place].objective.parse({**raw, **row}, training=training)}
        return row

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        """Every part initialised. Raises UsageError for parts that can't go together."""
        objectives = [part.objective for part in self.parts]
        for one in objectives:
            if one.joint or one.windows or getattr(one, "generates", False) or hasattr(one, "teacher"):
                raise UsageError("objectives.no-part", given=registry.name_of(one))
        mixing = [registry.name_of(one) for one in objectives if one.mixes]
        if len(mixing) > 1:
            raise UsageError("objectives.two-mix", given=", ".join(mixing))
        parts = tuple(Part(part.objective.initialize(rows, base), part.weight) for part in self.parts)
        for part in parts:
            if part.objective.head().beside:
                raise UsageError("objectives.parts-of-its-own", given=registry.name_of(part.objective))
        return replace(self, parts=parts)

    def head(self) -> Head:
        first, *others = (part.objective.head() for part in self.parts)
        return replace(first, beside=tuple(others))

    def encode(self, row: Row, processor: Any) -> Features:
        """The features of all parts, each part's targets under a key of its own. Raises UsageError where inputs differ."""
        features: Features = {}
        for place, part in enumerate(self.parts):
            found = part.objective.encode(row, processor)
            if not numpy.array_equal(features.get("input_ids", found["input_ids"]), found["input_ids"]):
                raise UsageError("objectives.other-inputs", given=registry.name_of(part.objective))
            features |= _kept(found, place)
        features.pop("characters", None)  # of one part: the loss is of all
        return features

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:
        """Each part varies what the one before it left: first the one that exchanges texts, then those that hide tokens."""
        for place in self._order():
            objective, own = self.parts[place].objective, _own(features, place)
            if objective.mixes:
                own["other"] = _own(features["other"], place)
            varied = objective.vary(own, processor, rng, training=training)
            targets = {key: value for key, value in features.items() if key.startswith(TARGETS)}
            features = targets | _kept(varied, place)
        return features

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        batch: Batch = {}
        for place, part in enumerate(self.parts):
            batch |= _kept(part.objective.collate([_own(row, place) for row in features], processor), place)
        return batch

    def loss(self, model: Any, batch: Batch) -> Loss:
        """The weighted sum of the parts' means; pieces of a step weigh by the targets of the first part."""
        with beside.one_pass(model):
            losses = [
                part.objective.loss(beside.view(model, place), _own(batch, place))
                for place, part in enumerate(self.parts)
            ]
        told: dict[str, float] = {}
        for part, loss in zip(self.parts, losses, strict=True):
            told |= {registry.name_of(part.objective): float(loss.value.detach()), **loss.parts}
        value = sum(part.weight * loss.value for part, loss in zip(self.parts, losses, strict=True))
        return Loss(value, losses[0].outputs, told, losses[0].count)

    def sample(self, model: Any, text: str, processor: Any, decoding: Any) -> str | None:
        return self.parts[0].objective.sample(model, text, processor, decoding)

    def _order(self) -> list[int]:
        """The places of the parts, that which exchanges texts first."""
        return sorted(range(len(self.parts)), key=lambda place: not self.parts[place].objective.mixes)


def _kept(values: Mapping[str, Any], place: int) -> dict[str, Any]:
    """What a part says, its targets under a key of its own."""
    return {f"{TARGETS} {place}" if key == TARGETS else key: value for key, value in values.items()}


def _own(values: Mapping[str, Any], place: int) -> dict[str, Any]:
    """What the part at a place may see."""
    shared = {key: value for key, value in values.items() if not key.startswith(TARGETS)}
    mine = f"{TARGETS} {place}"
    return {**shared, **({TARGETS: values[mine]} if mine in values else {})}
