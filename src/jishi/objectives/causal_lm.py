"""Pretrain a decoder: guess every next token from those before it (GPT, arXiv:2005.14165)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.models import tokens
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends
from jishi.models.generate import generate
from jishi.models.inference import to
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
        features = _next_tokens.encode(processor, row["text"], self.max_length)
        if processor.is_fast:  # others can't tell where in the text a token stands
            features["characters"] = self._foreseen(processor, row["text"], features)
        return features

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.pad(features, processor)

    def loss(self, model: Any, batch: Batch) -> Loss:
        return _next_tokens.loss(model, batch)

    def sample(self, model: Any, text: str, processor: Any, decoding: Decoding) -> str:
        """How the model goes on with the text, which alone is no answer: what is written after it."""
        ids = tokens.encode(processor, text, max_length=self.max_length)["input_ids"].tolist()
        begun = ids[:-1] if ids[-1:] == [processor.eos_token_id] else ids
        batch = to(tokens.pad([tokens.describe(processor, begun or ids)], processor), model.device)
        ends = Ends.of(processor, decoding.stop)
        return ends.text([int(token) for token in generate(model, batch, decoding, ends)[0][:, 0]])

    def _foreseen(self, processor: Any, text: str, features: Features) -> int:
        """Characters of the text that are foreseen: none that was cut off, and no first token that has nothing before it."""
        if features["input_ids"][0] in (processor.bos_token_id, processor.cls_token_id) and not features["truncated"]:
            return len(text)
        limit = tokens.limit(processor, self.max_length)
        found = processor(text, truncation=True, max_length=limit, return_offsets_mapping=True, verbose=False)
        ends = [end for _, end in found["offset_mapping"]]
        return max(ends) - ends[0] if ends else 0  # a mark's end is 0
