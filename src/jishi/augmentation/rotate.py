"""Turn and shift the picture; what enters at the edges has its mean colour."""

from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Ge, Gt, Le
from PIL import Image

from jishi.augmentation import _pictures
from jishi.core.contracts import Augmentation, option


@dataclass(frozen=True)
class Rotate(Augmentation):
    """Turns by up to `angle` degrees either way, and shifts by up to `shift` of the side."""

    modality = "image"

    share: Annotated[float, Gt(0), Le(1)] = option(
        1.0,
        "Share of the pictures that are varied, drawn anew each epoch.",
        "被变换的图片所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    angle: Annotated[float, Ge(0), Le(180)] = option(15.0, "Largest turn, in degrees.", "最大旋转角度（度）。")
    shift: Annotated[float, Ge(0), Le(1)] = option(
        0.1, "Largest shift, as a share of the side.", "最大平移（占边长的比例）。"
    )

    def vary(self, raw: Image.Image, rng: numpy.random.Generator) -> Image.Image:
        return _pictures.changed(raw, self.modality, rng, rotation=self.angle, shift=self.shift)
