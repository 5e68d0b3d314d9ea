"""A Transformer decoder with learnt positions (GPT-2, Radford et al. 2019), transformers' own classes: for causal-lm.

`transformer-decoder` (Llama) is the newer shape; this is the one that most tools and papers know.
"""

from typing import Any

from transformers import GPT2Config

from jishi.models.scratch._design import Design
from jishi.models.scratch._processors import writing

# D, layers, heads
SIZES = {"nano": (64, 2, 2), "tiny": (128, 2, 2), "mini": (256, 4, 4), "small": (512, 4, 8), "base": (768, 12, 12)}


def _config(size: str, processor: Any) -> GPT2Config:
    width, layers, heads = SIZES[size]
    return GPT2Config(
        vocab_size=len(processor),
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        n_positions=DESIGN.max_length,
        pad_token_id=processor.pad_token_id,
        bos_token_id=processor.bos_token_id,
        eos_token_id=processor.eos_token_id,
    )


DESIGN = Design("text", "mean", _config, writing, learns=True)
