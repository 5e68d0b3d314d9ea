"""A small Transformer that reads a text and writes another (arXiv:1706.03762), transformers' Marian.

Norms after each part, and positions as sines: what docs/en/translation.md tells was reached with it.
"""

from typing import Any

import torch
from transformers import MarianConfig

from jishi.models.scratch._design import Design
from jishi.models.scratch._processors import rewriting

# D, layers a side, heads
SIZES = {"nano": (64, 2, 2), "tiny": (128, 2, 2), "mini": (256, 3, 4), "small": (512, 4, 8), "base": (768, 6, 12)}


def values(size: str, processor: Any) -> dict[str, Any]:
    """The settings of Marian's configuration."""
    width, layers, heads = SIZES[size]
    return {
        "vocab_size": len(processor),
        "max_position_embeddings": DESIGN.max_length,
        "d_model": width,
        "encoder_layers": layers,
        "decoder_layers": layers,
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "encoder_ffn_dim": 4 * width,
        "decoder_ffn_dim": 4 * width,
        "activation_function": "relu",
        "scale_embedding": True,
        "pad_token_id": processor.pad_token_id,
        "eos_token_id": processor.eos_token_id,
        "forced_eos_token_id": None,
        "decoder_start_token_id": processor.pad_token_id,
    }


def _config(size: str, processor: Any) -> MarianConfig:
    return MarianConfig(**values(size, processor))


def begin(model: Any) -> None:
    """Embeddings of length 1: as the output layer, which they are too, they say nothing loudly."""
    with torch.no_grad():
        table = model.get_input_embeddings()
        table.weight.normal_(0, table.embedding_dim**-0.5)


DESIGN = Design("text", "cls", _config, rewriting, learns=True, begin=begin)
