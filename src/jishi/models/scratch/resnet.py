"""A small residual network for pictures (ResNet, arXiv:1512.03385), transformers' own classes."""

from typing import Any

from transformers import ResNetConfig, ViTImageProcessorPil

from jishi.models.scratch._design import Design

SIDE = 64  # pixels pictures are resized to
SIZES = {
    "nano": ([16, 32, 64], [1, 1, 1]),
    "tiny": ([32, 64, 128], [1, 1, 1]),
    "mini": ([32, 64, 128, 256], [2, 2, 2, 2]),
    "small": ([64, 128, 256, 512], [2, 2, 2, 2]),
    "base": ([64, 128, 256, 512], [3, 4, 6, 3]),
}  # channels and blocks a stage; the last two are ResNet-18 and ResNet-34


def _config(size: str, _: Any) -> ResNetConfig:
    channels, blocks = SIZES[size]
    return ResNetConfig(embedding_size=channels[0], hidden_sizes=channels, depths=blocks, layer_type="basic")


def _processor(*_: Any) -> ViTImageProcessorPil:
    return ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}, do_convert_rgb=True)


DESIGN = Design("image", "cls", _config, _processor, learns=False)
