"""What the modality of pictures does to one at random, each of its changes by itself."""

from typing import Any

import numpy
from PIL import Image, ImageStat

from jishi.core import registry
from jishi.core.contracts import Modality


def changed(picture: Image.Image, modality: str, rng: numpy.random.Generator, **changes: Any) -> Image.Image:
    """The picture as the modality augments it, by the changes named and no others."""
    still = {"rotation": 0.0, "shift": 0.0, "light": 0.0}
    varied: Image.Image = registry.get(Modality, modality)(**{**still, **changes}).augment(picture, rng)
    return varied


def mean(picture: Image.Image) -> tuple[int, ...]:
    """The mean colour: what is put where there is nothing to see."""
    return tuple(int(value) for value in ImageStat.Stat(picture).mean)
