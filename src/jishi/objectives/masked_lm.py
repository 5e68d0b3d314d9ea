"""Pretrain an encoder: guess the tokens that were hidden (BERT, arXiv:1810.04805)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.core.errors import ModelError, UsageError
from jishi.models import tokens
from jishi.models.cross_entropy import cross_entropy, logits_at
from jishi.models.inference import to
from jishi.objectives import _hidden

MASKED, RANDOM = (
    0.8,
    0.1,
)  # of the tokens to guess: shown as the mask token, as a random one; the rest stand as they are

BLANK = "[MASK]"  # how a reader writes one, whatever the tokenizer's mark is


@dataclass(frozen=True)
class MaskedLM(Objective):
    """Rows: {"text", "text_pair"?}, no target; a second text stands for what is read together, such as a translation
    (arXiv:1901.07291). Logits are computed for the hidden tokens only.
    """

    columns = {"text": "text", "text_pair": "text?"}
    targets = ((),)

    share: float = option(0.15, "Share of the tokens to guess.", "需要预测的词元比例。", aliases=("mlm_probability",))
    unit: Literal["token", "word", "span"] = option(
        "token",
        "What is hidden together: single tokens; whole words, Chinese ones cut by jieba; or spans of tokens (arXiv:1907.10529).",
        "一并遮住的单位：单个词元；整词，中文由 jieba 切分；或词元片段（arXiv:1907.10529）。",
    )
    max_length: int | None = option(
        None,
        "Tokens read of a row; the rest is cut off and counted.",
        "每行读取的最大词元数，超出部分截断并计数。",
        aliases=("max_seq_length",),
    )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:  # noqa: ARG002
        read = registry.get(Modality, self.columns["text"])().read
        pair = raw.get("text_pair") not in (None, "")
        return {"text": read(raw.get("text")), **({"text_pair": read(raw["text_pair"])} if pair else {})}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        return replace(self, max_length=base.limit(self.max_length))

    def head(self) -> Head:
        return Head("ForMaskedLM")

    def encode(self, row: Row, processor: Any) -> Features:
        if processor.mask_token_id is None:
            raise ModelError("objectives.no-mask-token", given=type(processor).__name__)
        features = tokens.encode(processor, row["text"], row.get("text_pair"), max_length=self.max_length)
        if self.unit == "word":
            features["words"] = _hidden.words(processor, row["text"], row.get("text_pair"), self.max_length)
        return features

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        """Hide tokens, in validation too; never a special one. The share is exact up to the rounding, which is by chance."""
        ids = features["input_ids"].copy()
        special = numpy.asarray(processor.all_special_ids)
        open_ = numpy.flatnonzero(~numpy.isin(ids, special))
        chosen = _hidden.CHOICES[self.unit](open_, features, self.share, rng)
        labels = numpy.full(len(ids), tokens.IGNORED, dtype=numpy.int32)
        labels[chosen] = ids[chosen]
        way = rng.random(len(chosen))
        ids[chosen[way < MASKED]] = processor.mask_token_id
        for place in chosen[way >= 1 - RANDOM]:
            ids[place] = _ordinary(len(processor), special, rng)
        return {name: value for name, value in features.items() if name != "words"} | {
            "input_ids": ids,
            "labels": labels,
        }

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        batch = tokens.pad(features, processor)
        if all("labels" in row for row in features):
            batch["labels"] = tokens.stack([row["labels"] for row in features], tokens.IGNORED)
        return batch

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Cross-entropy, the mean over the hidden tokens."""
        hidden = batch["labels"] != tokens.IGNORED  # (B, T)
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        total, outputs = cross_entropy(model, inputs, hidden, batch["labels"][hidden])
        count = int(hidden.sum())
        return Loss(total / max(count, 1), outputs, count=count)

    def sample(self, model: Any, text: str, processor: Any, decoding: Any) -> str:  # noqa: ARG002
        """The text with the likeliest token in the place of each BLANK. Raises UsageError where it has none."""
        shown = text.replace(BLANK, processor.mask_token)
        ids = processor(
            shown, truncation=True, max_length=tokens.limit(processor, self.max_length), split_special_tokens=False
        )["input_ids"]
        batch = to(tokens.pad([tokens.describe(processor, ids)], processor), model.device)
        places = batch["input_ids"] == processor.mask_token_id  # (1, T)
        if not places.any():
            raise UsageError("objectives.no-blank", given=text, allowed=BLANK)
        for token in logits_at(model, batch, places).argmax(-1).tolist():
            text = text.replace(BLANK, processor.decode([token]).strip(), 1)
        return text


def _ordinary(count: int, special: numpy.ndarray, rng: numpy.random.Generator) -> int:
    """A random token that is not special."""
    while (token := int(rng.integers(count))) in special:
        continue
    return token
