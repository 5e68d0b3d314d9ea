"""Pretrain a decoder: guess every next token from those before it (GPT, arXiv:2005.14165)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from torch.nn import functional

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.models import tokens
from jishi.models.cross_entropy import cross_entropy


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
        return Head("ForCausalLM", {"is_decoder": True})  # without it BERT and its kin look ahead

    def encode(self, row: Row, processor: Any) -> Features:
        """The tokens of the row, and the end token where the text ends: a row that was cut has no room for one."""
        features = tokens.encode(processor, row["text"], max_length=self.max_length)
        ids, end = features["input_ids"].tolist(), processor.eos_token_id
        if end is not None and ids[-1:] != [end]:
            ids = [*ids, end][: tokens.limit(processor, self.max_length)]
        return {**tokens.describe(processor, ids), "truncated": features["truncated"]}

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.pad(features, processor)

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Cross-entropy, the mean over the real tokens that have one before them in their row."""
        follows = batch["attention_mask"][:, 1:].bool()  # (B, T-1)
        places = functional.pad(follows, (0, 1))  # (B, T), the tokens that are followed by one
        inputs = {**batch, "use_cache": False}  # keys and values are for generation
        total, outputs = cross_entropy(model, inputs, places, batch["input_ids"][:, 1:][follows])
        count = int(follows.sum())
        return Loss(total / max(count, 1), outputs, count=count)
