"""Show the picture in other light and colours (the colour distortion of SimCLR, arXiv:2002.05709).

For pictures of many cameras and hours; not where the colour is what tells classes apart.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Ge, Gt, Le
from PIL import Image

from jishi.augmentation import _pictures
from jishi.core.contracts import Augmentation, option


@dataclass(frozen=True)
class Colour(Augmentation):
    """Changes brightness and contrast, strength and hue of the colours; now and then all is grey."""

    modality = "image"

    share: Annotated[float, Gt(0), Le(1)] = option(
        1.0,
        "Share of the pictures that are varied, drawn anew each epoch.",
        "被变换的图片所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    light: Annotated[float, Ge(0), Le(1)] = option(
        0.3, "Largest change of brightness and contrast.", "亮度与对比度变化的最大幅度。"
    )
    strength: Annotated[float, Ge(0), Le(1)] = option(
        0.3,
        "Largest change of the colours, where 1 is all of their strength, or a quarter turn of the hue.",
        "颜色变化的最大幅度：1 表示全部饱和度，或色相的四分之一圈。",
    )
    grey: Annotated[float, Ge(0), Le(1)] = option(0.1, "Share of the pictures shown in grey.", "以灰度呈现的图片比例。")

    def vary(self, raw: Image.Image, rng: numpy.random.Generator) -> Image.Image:
        return _pictures.changed(raw, self.modality, rng, light=self.light, colour=self.strength, grey=self.grey)
