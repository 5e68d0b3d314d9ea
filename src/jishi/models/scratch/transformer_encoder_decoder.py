"""A small Transformer that reads a text and writes another (T5, arXiv:1910.10683; gated, arXiv:2002.05202): transformers' own."""

from collections.abc import Iterable
from typing import Any

import torch
from transformers import T5Config

from jishi.core.contracts import Row
from jishi.core.errors import ModelError
from jishi.models import subwords
from jishi.models.scratch._design import Design

SIZES = {"nano": (64, 2, 2), "tiny": (128, 2, 2), "mini": (256, 3, 4), "small": (512, 4, 8)}  # D, layers a side, heads


def _config(size: str, processor: Any) -> T5Config:
    width, layers, heads = SIZES[size]
    return T5Config(
        vocab_size=len(processor),
        d_model=width,
        d_kv=width // heads,
        d_ff=8 * width // 3 // 8 * 8,  # three matrices as large as the two of 4 · D
        num_layers=layers,
        num_heads=heads,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,  # transformers ties them all the same, and leaves the logits unscaled
        pad_token_id=processor.pad_token_id,
        eos_token_id=processor.eos_token_id,
        decoder_start_token_id=processor.pad_token_id,
    )


def _processor(name: str, rows: Iterable[Row] | None, pattern: str | None = None) -> Any:
    if pattern:
        raise ModelError("models.no-pattern", name=name)
    return subwords.learn(name, rows)


def _begin(model: Any) -> None:
    """Embeddings short enough to be the output layer as they are: with T5's, of length √D, AdamW takes three times the steps."""
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(model.config.d_model**-0.5)


DESIGN = Design("text", "cls", _config, _processor, learns=True, begin=_begin)
