"""A Transformer that reads a text and writes another (BART, arXiv:1910.13461), transformers' own classes.

BERT's encoder and GPT's decoder in one: norms after each part, learnt positions.
"""

from typing import Any

from transformers import BartConfig

from jishi.models.scratch._design import Design
from jishi.models.scratch._processors import rewriting

# D, layers a side, heads; the last is the paper's base
SIZES = {"nano": (64, 2, 2), "tiny": (128, 2, 2), "mini": (256, 3, 4), "small": (512, 4, 8), "base": (768, 6, 12)}


def _config(size: str, processor: Any) -> BartConfig:
    width, layers, heads = SIZES[size]
    return BartConfig(
        vocab_size=len(processor),
        max_position_embeddings=DESIGN.max_length,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        pad_token_id=processor.pad_token_id,
        bos_token_id=processor.eos_token_id,
        eos_token_id=processor.eos_token_id,
        forced_eos_token_id=None,
        decoder_start_token_id=processor.eos_token_id,
    )


DESIGN = Design("text", "mean", _config, rewriting, learns=True)
