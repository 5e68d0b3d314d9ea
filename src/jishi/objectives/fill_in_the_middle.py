"""Pretrain a decoder that also fills gaps: of a share of the rows the middle is guessed last (arXiv:2207.14255)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy
from pydantic import Field

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.models import middle, tokens
from jishi.objectives import _next_tokens

ROOM = len(middle.MARKS) + 1  # tokens that a row may get: those three, and an end where it was cut


@dataclass(frozen=True)
class FillInTheMiddle(Objective):
    """Rows: {"text"}, no target. As causal-lm, but of some rows, cut at two places, the middle is put last and guessed last."""

    columns = {"text": "text"}
    targets = ((),)
    marks = middle.MARKS

    share: Annotated[float, Field(gt=0, le=1)] = option(
        0.5,
        "Share of the rows whose middle is put last; the others are read as they stand.",
        "把中段移到末尾的行所占比例；其余按原样读取。",
        aliases=("fim_rate",),
    )
    max_length: Annotated[int, Field(ge=2 * ROOM)] | None = option(
        None,
        "Tokens read of a row, with those that mark its parts; the rest is cut off and counted.",
        "每行读取的最大词元数（含标记各段的词元），超出部分截断并计数。",
        aliases=("max_seq_length",),
    )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:  # noqa: ARG002
        return {"text": registry.get(Modality, self.columns["text"])().read(raw.get("text"))}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        return replace(self, max_length=base.limit(self.max_length))

    def head(self) -> Head:
        return _next_tokens.HEAD

    def encode(self, row: Row, processor: Any) -> Features:
        """Raises ModelError where the tokenizer lacks the three tokens."""
        middle.marks(processor)
        return _next_tokens.encode(processor, row["text"], tokens.limit(processor, self.max_length) - ROOM)

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        """Of a share of the rows, in validation too, cut the text at two places, each as likely as any other.

        The middle is complete, so that an end stands behind it, whether the row was cut or not.
        """
        if rng.random() >= self.share:
            return features
        ids, end = features["input_ids"], processor.eos_token_id
        start, stop = tokens.inner(processor, ids)
        first, last = numpy.sort(rng.integers(start, stop + 1, 2))
        close = [end] if end is not None and stop == len(ids) else ids[stop:]
        row = middle.arranged(ids[:start], ids[start:first], ids[last:stop], processor, [*ids[first:last], *close])
        return {**features, "input_ids": row, "length": len(row)}

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.pad(features, processor)

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Cross-entropy, the mean over all tokens but each row's first."""
        return _next_tokens.loss(model, batch)
