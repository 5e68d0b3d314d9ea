"""Mirror the picture, left to right. Wrong where left and right matter: gestures, digits, traffic signs, text."""

from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Gt, Le
from PIL import Image, ImageOps

from jishi.core.contracts import Augmentation, option


@dataclass(frozen=True)
class Flip(Augmentation):
    """Mirrors pictures."""

    modality = "image"

    share: Annotated[float, Gt(0), Le(1)] = option(
        0.5,
        "Share of the pictures that are varied, drawn anew each epoch.",
        "被变换的图片所占比例，每轮重新抽取。",
        aliases=("p",),
    )

    def vary(self, raw: Image.Image, rng: numpy.random.Generator) -> Image.Image:  # noqa: ARG002
        return ImageOps.mirror(raw)
