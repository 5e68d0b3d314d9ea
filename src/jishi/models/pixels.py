"""Pictures as the numbers a model reads: sized once and kept as bytes, brought to the model's range batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy
from PIL import Image

from jishi.core.contracts import Features, Modality

if TYPE_CHECKING:
    import torch


def encode(processor: Any, picture: Any) -> Features:
    """ "pixels" (C, H, W) uint8 of a PIL image in the model's size; "length" is 1, for all cost the same."""
    sized = _eyes(processor)(images=[picture], do_rescale=False, do_normalize=False, return_tensors="np")[
        "pixel_values"
    ][0]
    return {"pixels": numpy.asarray(sized).round().clip(0, 255).astype(numpy.uint8), "length": 1}


def vary(pixels: numpy.ndarray, modality: Modality, rng: numpy.random.Generator) -> numpy.ndarray:
    """Pixels (C, H, W) of the picture as the modality augments it."""
    return changed(pixels, lambda picture: modality.augment(picture, rng))


def changed(pixels: numpy.ndarray, change: Callable[[Image.Image], Image.Image]) -> numpy.ndarray:
    """Pixels (C, H, W) of the changed picture."""
    return numpy.asarray(change(Image.fromarray(pixels.transpose(1, 2, 0)))).transpose(2, 0, 1)


def batch(pixels: Sequence[numpy.ndarray], processor: Any) -> torch.Tensor:
    """As `array`, a tensor."""
    import torch

    return torch.from_numpy(array(pixels, processor))


def array(pixels: Sequence[numpy.ndarray], processor: Any) -> numpy.ndarray:
    """Pixels of B pictures as (B, C, H, W) float32 in the range that the model expects."""
    scale, offset = _range(processor, channels=len(pixels[0]))
    return numpy.stack(pixels).astype(numpy.float32) * scale + offset


def _range(processor: Any, channels: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """How the processor brings pixels to the model's range, as scale and offset (C, 1, 1): read off black and white.

    The processor would give the same, picture by picture, at the cost of a small model's step.
    """
    probe = numpy.broadcast_to(numpy.array([0, 255], dtype=numpy.uint8), (channels, 1, 2))
    done = _eyes(processor)(
        images=[probe], do_resize=False, do_center_crop=False, input_data_format="channels_first", return_tensors="np"
    )
    black, white = numpy.moveaxis(numpy.asarray(done["pixel_values"][0], dtype=numpy.float32), -1, 0)  # (C, 1)
    return ((white - black) / numpy.float32(255))[..., None], black[..., None]


def _eyes(processor: Any) -> Any:
    """What reads pictures, where it reads texts as well."""
    return getattr(processor, "image_processor", processor)
