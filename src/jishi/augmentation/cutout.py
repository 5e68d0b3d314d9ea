"""Cover a square of the picture, so that no single part of it can be all that is learnt (arXiv:1708.04552)."""

from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Gt, Le
from PIL import Image

from jishi.augmentation import _pictures
from jishi.core.contracts import Augmentation, option


@dataclass(frozen=True)
class Cutout(Augmentation):
    """Covers a square with the mean colour; its centre lies anywhere in the picture, so that it may reach beyond an edge."""

    modality = "image"

    share: Annotated[float, Gt(0), Le(1)] = option(
        1.0,
        "Share of the pictures that are varied, drawn anew each epoch.",
        "被变换的图片所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    side: Annotated[float, Gt(0), Le(1)] = option(
        0.3, "Side of the square, as a share of the picture's shorter one.", "方块边长与图片短边之比。"
    )

    def vary(self, raw: Image.Image, rng: numpy.random.Generator) -> Image.Image:
        side = round(self.side * min(raw.size))
        left, top = (int(rng.integers(length)) - side // 2 for length in raw.size)
        varied = raw.copy()
        varied.paste(_pictures.mean(raw), (left, top, left + side, top + side))
        return varied
