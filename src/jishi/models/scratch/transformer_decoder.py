"""A small Transformer decoder (Llama, arXiv:2302.13971), transformers' own classes: it can be pretrained with causal-lm."""

from typing import Any

from transformers import LlamaConfig

from jishi.models.scratch._design import Design
from jishi.models.scratch._processors import writing

# D, layers, heads
SIZES = {"nano": (64, 2, 2), "tiny": (128, 2, 2), "mini": (256, 4, 4), "small": (512, 4, 8), "base": (768, 12, 12)}


def _config(size: str, processor: Any) -> LlamaConfig:
    width, layers, heads = SIZES[size]
    return LlamaConfig(
        vocab_size=len(processor),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=8 * width // 3 // 8 * 8,  # three matrices as large as the two of 4 · D
        max_position_embeddings=512,
        tie_word_embeddings=True,  # in a small model the vocabulary is most of the weights
        pad_token_id=processor.pad_token_id,
        bos_token_id=processor.bos_token_id,
        eos_token_id=processor.eos_token_id,
    )


DESIGN = Design("text", "mean", _config, writing, learns=True)
