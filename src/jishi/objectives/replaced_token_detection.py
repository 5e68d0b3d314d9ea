"""Pretrain an encoder: fill gaps with plausible tokens, and tell which tokens were replaced (ELECTRA, arXiv:2003.10555)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy
import torch
from pydantic import Field
from torch.nn import functional

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Objective, Row, option
from jishi.core.errors import UsageError
from jishi.models import beside, tokens
from jishi.models.cross_entropy import logits_at


@dataclass(frozen=True)
class ReplacedTokenDetection(Objective):
    """Rows: {"text", "text_pair"?}, no target. Every token teaches, not the hidden ones alone, for two passes a step: the model
    fills its own gaps (generator and discriminator of one size share all weights but their heads), and stays a masked-lm.
    """

    targets = ((),)

    hides: Objective = option(
        factory=lambda: registry.get(Objective, "masked-lm")(),
        en="Which tokens are replaced: masked-lm with its settings.",
        zh="替换哪些词元：masked-lm 及其设置。",
    )
    weight: Annotated[float, Field(gt=0)] = option(
        50.0, "What the loss of telling is multiplied by, beside that of writing.", "判别损失的权重（相对于填写损失）。"
    )

    @property
    def columns(self) -> Mapping[str, str]:  # type: ignore[override]
        return self.hides.columns

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        return self.hides.parse(raw, training=training)

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        """Raises UsageError where no token is hidden from a masked language model."""
        hides = self.hides.initialize(rows, base)
        if hides.head() != Head("ForMaskedLM"):
            raise UsageError("objectives.hides-nothing", given=registry.name_of(hides))
        return replace(self, hides=hides)

    def head(self) -> Head:
        return replace(self.hides.head(), beside=(Head("ForTokenClassification", {"num_labels": 2}),))

    def encode(self, row: Row, processor: Any) -> Features:
        return self.hides.encode(row, processor)

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:
        """What is hidden, and "draws" (T,): a number between 0 and 1 that decides what is written there."""
        varied = self.hides.vary(features, processor, rng, training=training)
        return {**varied, "draws": rng.random(len(varied["input_ids"]), dtype=numpy.float32)}

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        batch = self.hides.collate(features, processor)
        draws = [torch.from_numpy(row["draws"]) for row in features]
        return {**batch, "draws": torch.nn.utils.rnn.pad_sequence(draws, batch_first=True)}

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Cross-entropy of writing, the mean over the gaps, and of telling, the mean over all tokens."""
        inputs = {name: value for name, value in batch.items() if name not in ("labels", "draws")}
        gaps = batch["labels"] != tokens.IGNORED  # (B, T)
        logits = logits_at(model, inputs, gaps).float()  # (N, V)
        writing = functional.cross_entropy(logits, batch["labels"][gaps], reduction="sum")
        true = torch.where(gaps, batch["labels"], batch["input_ids"])
        shown = true.masked_scatter(gaps, _drawn(logits.detach(), batch["draws"][gaps]))
        said = beside.view(model, 1)(**{**inputs, "input_ids": shown}).logits.float()  # (B, T, 2)
        real = inputs["attention_mask"].bool()
        replaced = (shown != true)[real]
        telling = functional.cross_entropy(said[real], replaced.long())
        count = int(gaps.sum())
        writing = writing / max(count, 1)
        right = float((said[real].argmax(-1) == replaced).float().mean())
        parts = {"writing": float(writing.detach()), "telling": float(telling.detach()), "right": right}
        return Loss(writing + self.weight * telling, said, parts, count)

    def sample(self, model: Any, text: str, processor: Any, decoding: Any) -> str | None:
        return self.hides.sample(model, text, processor, decoding)


def _drawn(logits: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """One token for each row of logits (N, V), as likely as they say: where the summed probabilities pass its draw (N,)."""
    sums = logits.softmax(-1).cumsum(-1)
    return torch.searchsorted(sums, draws[:, None] * sums[:, -1:])[:, 0].clamp(max=logits.shape[1] - 1)
