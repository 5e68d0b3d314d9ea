"""Show a part of the picture, enlarged to its size (arXiv:1409.4842, the crops of Inception).

For things that may stand anywhere and be of any size; not where what matters fills the picture or lies at its edge.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Gt, Le
from PIL import Image

from jishi.augmentation import _pictures
from jishi.core.contracts import Augmentation, option


@dataclass(frozen=True)
class Crop(Augmentation):
    """A part of `area` to all of the picture, up to a third wider or higher than it."""

    modality = "image"

    share: Annotated[float, Gt(0), Le(1)] = option(
        1.0,
        "Share of the pictures that are varied, drawn anew each epoch.",
        "被变换的图片所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    area: Annotated[float, Gt(0), Le(1)] = option(0.6, "Least share of the area that is kept.", "至少保留的面积比例。")

    def vary(self, raw: Image.Image, rng: numpy.random.Generator) -> Image.Image:
        return _pictures.changed(raw, self.modality, rng, crop=self.area)
