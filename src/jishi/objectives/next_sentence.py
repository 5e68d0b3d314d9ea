"""Tell whether a text goes on with what stands behind it, or with part of another row (BERT, arXiv:1810.04805)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy

from jishi.core.contracts import Base, Batch, Features, Head, Loss, Objective, Row, option
from jishi.objectives import _pairs


@dataclass(frozen=True)
class NextSentence(Objective):
    """Rows: {"text", "text_pair"?}, no target: a text alone is cut in two between its sentences. Half of the pairs get the
    second text of another row, drawn anew in every epoch.

    Mostly beside masked-lm, in `weighted`. Where it is too easy, take sentence-order (RoBERTa did without: arXiv:1907.11692).
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
        """Half of the rows get the second text of the other row, no longer than their own."""
        _, _, start, end = features["texts"]
        other = features["other"]
        _, _, first, last = other["texts"]
        last = min(last, first + end - start)

        def exchange(name: str, value: numpy.ndarray) -> numpy.ndarray:
            return numpy.concatenate([value[:start], other[name][first:last], value[end:]])

        return _pairs.vary(features, exchange, rng)

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return _pairs.collate(features, processor)

    def loss(self, model: Any, batch: Batch) -> Loss:
        return _pairs.loss(model, batch)
