"""Rows of tokens, each of which is to be guessed from those before it: what the objectives of decoders have in common."""

from typing import Any

from torch.nn import functional

from jishi.core.contracts import Batch, Features, Head, Loss
from jishi.models import tokens
from jishi.models.cross_entropy import cross_entropy

HEAD = Head("ForCausalLM", {"is_decoder": True})  # without it BERT and its kin look ahead


def encode(processor: Any, text: str, max_length: int | None) -> Features:
    """The tokens of a text, and the end token where the text ends, not where it was cut: a decoder would learn to stop there."""
    features = tokens.encode(processor, text, max_length=max_length)
    ids, end = features["input_ids"].tolist(), processor.eos_token_id
    if features["truncated"] and ids[-1:] == [end]:
        del ids[-1]
    elif end is not None and ids[-1:] != [end]:
        ids = [*ids, end][: tokens.limit(processor, max_length)]
    return {**tokens.describe(processor, ids), "truncated": features["truncated"]}


def loss(model: Any, batch: Batch) -> Loss:
    """Cross-entropy, the mean over the real tokens that have one before them in their row."""
    follows = batch["attention_mask"][:, 1:].bool()  # (B, T-1)
    places = functional.pad(follows, (0, 1))  # (B, T), the tokens that are followed by one
    inputs = {**batch, "use_cache": False}  # keys and values are for generation
    total, outputs = cross_entropy(model, inputs, places, batch["input_ids"][:, 1:][follows])
    count = int(follows.sum())
    return Loss(total / max(count, 1), outputs, count=count)
