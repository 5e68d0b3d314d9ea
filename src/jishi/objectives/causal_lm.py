"""Pretrain a decoder: guess every next token from those before it (GPT, arXiv:2005.14165)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.models import tokens
from jishi.objectives import _next_tokens


@dataclass(frozen=True)
class CausalLM(Objective):
    """Rows: {"text"}, no target. Each row stands alone; no logits are computed for padding or for a row's last token."""

    columns = {"text": "text"}
    targets = ((),)

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
        return _next_tokens.HEAD

    def encode(self, row: Row, processor: Any) -> Features:
        return _next_tokens.encode(processor, row["text"], self.max_length)

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.pad(features, processor)

    def loss(self, model: Any, batch: Batch) -> Loss:
        return _next_tokens.loss(model, batch)
