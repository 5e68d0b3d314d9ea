"""Tell whether two texts that follow each other stand in their order, or were exchanged (ALBERT, arXiv:1909.11942)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy

from jishi.core.contracts import Base, Batch, Features, Head, Loss, Objective, Row, option
from jishi.objectives import _pairs

TYPES = "token_type_ids"


@dataclass(frozen=True)
class SentenceOrder(Objective):
    """Rows: {"text", "text_pair"?}, no target: a text alone is cut in two between its sentences. Half of the pairs are
    exchanged, drawn anew in every epoch. Harder than next-sentence: words alone do not tell.
    """

    columns = {"text": "text", "text_pair": "text?"}
    targets = ((),)
    mixes = True

    max_length: int | None = option(
        None,
        "Tokens read of a row; the rest is cut off and counted.",
        "每行读取的最大词元数，超出部分截断并计数。",
        aliases=("max_seq_length",),
    )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:  # noqa: ARG002
        return _pairs.parse(raw, self.columns)

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        return replace(self, max_length=base.limit(self.max_length))

    def head(self) -> Head:
        return _pairs.HEAD

    def encode(self, row: Row, processor: Any) -> Features:
        return _pairs.encode(row, processor, self.max_length)

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        """Half of the pairs are exchanged; the marks of which text is the first stay."""
        first, behind, second, end = features["texts"]

        def exchange(name: str, value: numpy.ndarray) -> numpy.ndarray:
            before, after = value[first:behind], value[second:end]
            if name == TYPES:
                before, after = numpy.full_like(before, value[second]), numpy.full_like(after, value[first])
            return numpy.concatenate([value[:first], after, value[behind:second], before, value[end:]])

        return _pairs.vary(features, exchange, rng)

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return _pairs.collate(features, processor)

    def loss(self, model: Any, batch: Batch) -> Loss:
        return _pairs.loss(model, batch)
