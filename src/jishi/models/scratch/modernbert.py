"""A newer Transformer encoder (ModernBERT, arXiv:2412.13663), transformers' own classes: it can be pretrained with masked-lm.

Rotary positions, gated layers (GeGLU), and only every third block sees the whole text, the others 64 tokens to either side.
"""

from functools import partial
from typing import Any

from transformers import ModernBertConfig

from jishi.models import tokenizer
from jishi.models.scratch._design import Design

# D, layers, heads; its blocks are slimmer than BERT's and there are more of them
SIZES = {"nano": (64, 2, 2), "tiny": (128, 3, 2), "mini": (256, 6, 4), "small": (512, 6, 8), "base": (768, 22, 12)}


def _config(size: str, processor: Any) -> ModernBertConfig:
    width, layers, heads = SIZES[size]
    return ModernBertConfig(
        vocab_size=len(processor),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=3 * width // 2,
        initializer_range=0.02 * (768 / width) ** 0.5,  # as loud as in the paper's width: slim ones hardly learn else
        max_position_embeddings=DESIGN.max_length,
        classifier_pooling="mean",
        pad_token_id=processor.pad_token_id,
        bos_token_id=processor.cls_token_id,
        eos_token_id=processor.sep_token_id,
        cls_token_id=processor.cls_token_id,
        sep_token_id=processor.sep_token_id,
    )


LENGTH = 1024  # what the paper's begins with
DESIGN = Design("text", "mean", _config, partial(tokenizer.train, max_length=LENGTH), learns=True, max_length=LENGTH)
