"""A small Transformer encoder (BERT, arXiv:1810.04805), transformers' own classes: it can be pretrained with masked-lm."""

from typing import Any

from transformers import BertConfig

from jishi.models import tokenizer
from jishi.models.scratch._design import Design

# D, layers, heads
SIZES = {"nano": (64, 2, 2), "tiny": (128, 2, 2), "mini": (256, 4, 4), "small": (512, 4, 8), "base": (768, 12, 12)}


def _config(size: str, processor: Any) -> BertConfig:
    width, layers, heads = SIZES[size]
    return BertConfig(
        vocab_size=len(processor),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=512,
        pad_token_id=processor.pad_token_id,
    )


DESIGN = Design("text", "cls", _config, tokenizer.train, learns=True)
