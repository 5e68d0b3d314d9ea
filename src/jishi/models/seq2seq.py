"""A text that is read and one that is written, as a batch and its loss: each token to be written is told those before it."""

from collections.abc import Sequence
from typing import Any

import torch

from jishi.core.contracts import Batch, Features, Loss
from jishi.core.errors import ModelError
from jishi.models import tokens
from jishi.models.cross_entropy import cross_entropy


def collate(features: Sequence[Features], processor: Any) -> Batch:
    """ "input_ids", "attention_mask" (B, T), and "labels" (B, U) where all rows have some."""
    batch = tokens.pad([{**row, "length": len(row["input_ids"])} for row in features], processor)
    batch.pop("token_type_ids", None)
    if all("labels" in row for row in features):
        batch["labels"] = tokens.stack([row["labels"] for row in features], tokens.IGNORED)
    return batch


def loss(model: Any, batch: Batch, label_smoothing: float = 0.0) -> Loss:
    """Cross-entropy, the mean over the tokens to be written; targets are smoothed in training only."""
    labels = batch["labels"]
    places = labels != tokens.IGNORED  # (B, U)
    inputs = {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "decoder_input_ids": _shifted(model.config, labels),
        "use_cache": False,  # keys and values are for generation
    }
    total, outputs = cross_entropy(model, inputs, places, labels[places], label_smoothing if model.training else 0.0)
    count = int(places.sum())
    return Loss(total / max(count, 1), outputs, count=count)


def _shifted(config: Any, labels: torch.Tensor) -> torch.Tensor:
    """What the decoder reads before each target, (B, U): the token that it is begun with in `Steps`, then the targets.

    Raises ModelError where the model says no such token.
    """
    if config.decoder_start_token_id is None:
        raise ModelError("models.no-start", name=config.name_or_path or config.model_type)
    start = torch.full_like(labels[:, :1], config.decoder_start_token_id)
    before = torch.cat([start, labels[:, :-1]], 1)
    return before.masked_fill(before == tokens.IGNORED, config.pad_token_id)
