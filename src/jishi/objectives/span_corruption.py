"""Pretrain an encoder-decoder: write the spans that were taken out of a text (T5, arXiv:1910.10683), or all of it (BART,
arXiv:1910.13461)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import numpy
from pydantic import Field

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.core.errors import ModelError
from jishi.models import seq2seq, special, tokens
from jishi.objectives import _hidden

SENTINELS = tuple(f"<extra_id_{number}>" for number in range(100))  # as T5 names them
LEAST = 2  # tokens of a text of which one can be taken and one be left


@dataclass(frozen=True)
class SpanCorruption(Objective):
    """Rows: {"text"}, no target. A sentinel is read in the place of each span; what is written says what stood there."""

    columns = {"text": "text"}
    targets = ((),)
    marks = SENTINELS

    share: Annotated[float, Field(gt=0, lt=1)] = option(
        0.15, "Share of the tokens taken out.", "取出的词元比例。", aliases=("noise_density",)
    )
    span: Annotated[float, Field(ge=1)] = option(
        3.0, "Tokens of a span, in the mean.", "每个片段的平均词元数。", aliases=("mean_noise_span_length",)
    )
    writes: Literal["spans", "whole"] = option(
        "spans",
        "What is written: the spans, each behind its sentinel; or whole, all of the text, which teaches to copy as well.",
        "写出什么：spans 为各片段（置于其哨兵之后）；whole 为全文，同时学会照抄。",
    )
    max_length: int | None = option(
        None,
        "Tokens read of a row; the rest is cut off and counted.",
        "每行读取的最大词元数，超出部分截断并计数。",
        aliases=("max_seq_length",),
    )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:  # noqa: ARG002
        return {"text": registry.get(Modality, self.columns["text"])().read(raw.get("text"))}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        return replace(self, max_length=base.limit(self.max_length))

    def head(self) -> Head:
        return Head("ForSeq2SeqLM")

    def encode(self, row: Row, processor: Any) -> Features:
        """Raises ModelError where the tokenizer has fewer sentinels than the text may need."""
        features = tokens.encode(processor, row["text"], max_length=self.max_length)
        needed = max(1, math.ceil(math.ceil(self.share * features["length"]) / self.span))
        if special.number(processor, SENTINELS[min(needed, len(SENTINELS)) - 1]) is None or needed > len(SENTINELS):
            known = sum(special.number(processor, name) is not None for name in SENTINELS)
            values = {"given": type(processor).__name__, "known": known, "tokens": features["length"], "needed": needed}
            raise ModelError("objectives.few-sentinels" if known else "objectives.no-sentinels", **values)
        start, end = tokens.inner(processor, features["input_ids"])
        return {**features, "cut": int(end - start < LEAST)}

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        """Take spans out, in validation too. A row of which nothing is taken has nothing to be written."""
        ids = features["input_ids"]
        start, stop = tokens.inner(processor, ids)
        spans = start + drawn(stop - start, self.share, self.span, rng)
        sentinels = processor.convert_tokens_to_ids(list(SENTINELS[: len(spans)]))
        read, written = corrupted(ids, spans, sentinels, processor.eos_token_id)
        if self.writes == "whole" and len(spans):
            end = [] if processor.eos_token_id is None else [processor.eos_token_id]
            written = numpy.array([*ids[start:stop], *end], dtype=numpy.int32)
        return {"input_ids": read, "labels": written, "length": features["length"]}

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return seq2seq.collate(features, processor)

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Cross-entropy, the mean over sentinels, spans and ends."""
        return seq2seq.loss(model, batch)


def drawn(count: int, share: float, mean: float, rng: numpy.random.Generator) -> numpy.ndarray:
    """(K, 2) starts and ends of spans among so many tokens, no two of which touch; some token always stays.

    Their tokens are the share, exact up to the rounding, which is by chance; so is their number. Where they lie and how long
    each is, is as likely as any other way.
    """
    hidden = min(_hidden.exact(count, share, rng), max(count - 1, 0))
    number = min(max(_hidden.exact(hidden, 1 / mean, rng), 1), hidden, count - hidden)
    if number < 1:
        return numpy.empty((0, 2), dtype=int)
    lengths = _parts(hidden, number, rng)
    gaps = _parts(count - hidden + 2, number + 1, rng)
    ends = numpy.cumsum(lengths + gaps[:-1]) - 1  # the first and the last gap may be empty
    return numpy.stack([ends - lengths, ends], 1)


def _parts(total: int, number: int, rng: numpy.random.Generator) -> numpy.ndarray:
    """The total as a sum of so many numbers of at least 1."""
    cuts = numpy.sort(rng.permutation(total - 1)[: number - 1]) + 1
    return numpy.diff([0, *cuts, total])


def corrupted(
    ids: numpy.ndarray, spans: numpy.ndarray, sentinels: Sequence[int], end: int | None
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """What is read, and what is to be written: sentinel and span in turn, then the end."""
    read, written, last = [], [], 0
    for (start, stop), sentinel in zip(spans.tolist(), sentinels, strict=True):
        read += [ids[last:start], [sentinel]]
        written += [[sentinel], ids[start:stop]]
        last = stop
    close = [tokens.IGNORED] if not written else [] if end is None else [end]
    parts = ([*read, ids[last:]], [*written, close])
    return tuple(numpy.concatenate(part).astype(numpy.int32) for part in parts)  # type: ignore[return-value]
