"""A Transformer that reads a text and writes another (T5 v1.1, arXiv:1910.10683, arXiv:2002.05202), transformers' own classes.

Norms before each part (deep ones then train more steadily, arXiv:2002.04745), learnt distances for positions, gated layers.
"""

from typing import Any

from transformers import T5Config

from jishi.models.scratch._design import Design
from jishi.models.scratch._processors import rewriting

# D, layers a side, heads
SIZES = {"nano": (64, 2, 2), "tiny": (128, 2, 2), "mini": (256, 3, 4), "small": (512, 4, 8), "base": (768, 12, 12)}


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
        pad_token_id=processor.pad_token_id,
        eos_token_id=processor.eos_token_id,
        decoder_start_token_id=processor.pad_token_id,
    )


DESIGN = Design("text", "mean", _config, rewriting, learns=True)
