"""A small Transformer over the patches of a picture (ViT, arXiv:2010.11929), transformers' own classes: masked-image can
pretrain it. Its states are averaged, which suits small data better than a token of their own (arXiv:2205.01580)."""

from typing import Any

from transformers import ViTConfig, ViTImageProcessorPil

from jishi.models.scratch._design import Design

SIDE, PATCH = 64, 8  # pixels pictures are resized to unless `side` says so, and of a patch: 64 patches
# D, layers, heads
SIZES = {"nano": (64, 2, 2), "tiny": (128, 4, 4), "mini": (256, 6, 4), "small": (384, 12, 6), "base": (768, 12, 12)}


def _config(size: str, processor: Any) -> ViTConfig:
    width, layers, heads = SIZES[size]
    return ViTConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        image_size=processor.size["height"],
        patch_size=PATCH,
        encoder_stride=PATCH,
        initializer_range=width**-0.5,  # with transformers' 0.02 a narrow model hardly mixes anything at first
    )


def _processor(*_: Any) -> ViTImageProcessorPil:
    return ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}, do_convert_rgb=True)


DESIGN = Design("image", "mean", _config, _processor, learns=False)
