"""Some changes drawn from fourteen, all of one strength (RandAugment, arXiv:1909.13719), on PIL alone.

Two numbers to tune, no policy to learn. Turns and shifts are among the changes, mirroring is not: name `flip` beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Ge, Gt, Le
from PIL import Image, ImageEnhance, ImageOps

from jishi.augmentation import _pictures
from jishi.core.contracts import Augmentation, option

MOST = 10  # the scale of magnitudes, as in the paper
TURN, SHEAR, SHIFT, CHANGE = (
    30.0,
    0.3,
    0.45,
    0.9,
)  # degrees; shares of the side; of light and colour: at the magnitude of 10
BITS = 4  # that are taken away from each colour's eight

Change = Callable[[Image.Image, float], Image.Image]


@dataclass(frozen=True)
class RandAugment(Augmentation):
    """`changes` of the fourteen one after the other, each drawn; those with a direction go either way."""

    modality = "image"

    share: Annotated[float, Gt(0), Le(1)] = option(
        1.0,
        "Share of the pictures that are varied, drawn anew each epoch.",
        "被变换的图片所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    changes: Annotated[int, Ge(1)] = option(
        2, "How many changes a picture goes through.", "每张图片经过的变换个数。", aliases=("n",)
    )
    magnitude: Annotated[float, Ge(0), Le(MOST)] = option(
        5.0, "How strong they are, 0 to 10.", "变换强度，0 至 10。", aliases=("m",)
    )

    def vary(self, raw: Image.Image, rng: numpy.random.Generator) -> Image.Image:
        for place in rng.integers(len(CHANGES), size=self.changes).tolist():
            way = 1 if rng.random() < 0.5 else -1
            raw = CHANGES[place](raw, way * self.magnitude / MOST)
        return raw


def same(picture: Image.Image, strength: float) -> Image.Image:  # noqa: ARG001
    return picture


def autocontrast(picture: Image.Image, strength: float) -> Image.Image:  # noqa: ARG001
    return ImageOps.autocontrast(picture)


def equalize(picture: Image.Image, strength: float) -> Image.Image:  # noqa: ARG001
    return ImageOps.equalize(picture)


def solarize(picture: Image.Image, strength: float) -> Image.Image:
    """What is brighter than the threshold is inverted."""
    return ImageOps.solarize(picture, round(256 * (1 - abs(strength))))


def posterize(picture: Image.Image, strength: float) -> Image.Image:
    return ImageOps.posterize(picture, 8 - round(BITS * abs(strength)))


def turned(picture: Image.Image, strength: float) -> Image.Image:
    return picture.rotate(TURN * strength, Image.Resampling.BILINEAR, fillcolor=_pictures.mean(picture))


def _moved(picture: Image.Image, *matrix: float) -> Image.Image:
    """Each place (x, y) shows what was at (a x + b y + c, d x + e y + f)."""
    return picture.transform(
        picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=_pictures.mean(picture)
    )


def sheared_across(picture: Image.Image, strength: float) -> Image.Image:
    return _moved(picture, 1, SHEAR * strength, 0, 0, 1, 0)


def sheared_down(picture: Image.Image, strength: float) -> Image.Image:
    return _moved(picture, 1, 0, 0, SHEAR * strength, 1, 0)


def shifted_across(picture: Image.Image, strength: float) -> Image.Image:
    return _moved(picture, 1, 0, SHIFT * strength * picture.width, 0, 1, 0)


def shifted_down(picture: Image.Image, strength: float) -> Image.Image:
    return _moved(picture, 1, 0, 0, 0, 1, SHIFT * strength * picture.height)


def enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Change:
    """More or less of what an enhancer of PIL changes: 1 is the picture as it is."""
    return lambda picture, strength: kind(picture).enhance(1 + CHANGE * strength)


CHANGES: tuple[Change, ...] = (
    same, autocontrast, equalize, solarize, posterize, turned, sheared_across, sheared_down, shifted_across, shifted_down,
    *map(enhanced, (ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Sharpness)),
)  # fmt: skip
