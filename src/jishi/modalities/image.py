"""Pictures: any common file as upright RGB, its size known before a pixel is decoded."""

import base64
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from PIL import Image as Pillow
from PIL import ImageFilter, ImageOps, ImageStat

from jishi.core.contracts import Modality, option
from jishi.core.errors import RowError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


@dataclass(frozen=True)
class Image(Modality):
    """A PIL image in RGB."""

    max_bytes: int = option(64 * 2**20, "Largest file accepted, in bytes.", "可接受的最大文件（字节）。")
    max_pixels: int = option(50_000_000, "Most pixels accepted.", "可接受的最大像素数。")
    flip: bool = option(
        False,
        "Mirror at random; wrong where left and right matter.",
        "随机左右翻转；左右有别的图片（手势、数字）不可用。",
    )
    rotation: float = option(10.0, "Largest random turn, in degrees.", "随机旋转的最大角度（度）。")
    shift: float = option(0.1, "Largest random shift, as a share of the side.", "随机平移的最大幅度（占边长的比例）。")
    light: float = option(0.2, "Largest random change of brightness and contrast.", "亮度与对比度随机变化的最大幅度。")
    crop: float = option(
        1.0,
        "Least share of the area that a random crop keeps, enlarged again; 1: no crop.",
        "随机裁剪（再放大回原尺寸）至少保留的面积比例；1 表示不裁剪。",
    )
    colour: float = option(
        0.0,
        "Largest random change of colours: of their strength, and of the hue, where 1 is a quarter turn.",
        "颜色随机变化的最大幅度：饱和度，以及色相（1 为四分之一圈）。",
    )
    grey: float = option(0.0, "Share of the pictures shown in grey.", "以灰度呈现的图片比例。")

    def read(self, value: Any) -> Pillow.Image:
        """The picture of a path, of a file's bytes, or of a PIL image: turned as EXIF says, the first frame, on white."""
        if isinstance(value, Pillow.Image):
            return self._rgb(value, "PIL")
        source, name = self._source(value)
        try:
            with Pillow.open(source, formats=FORMATS) as picture:
                pixels = picture.width * picture.height
                if pixels > self.max_pixels:
                    raise RowError("modalities.image-too-large", given=name, pixels=pixels, allowed=self.max_pixels)
                return self._rgb(picture, name)
        except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
            raise RowError(
                "modalities.image-too-large", given=name, pixels=f"> {Pillow.MAX_IMAGE_PIXELS}", allowed=self.max_pixels
            ) from None
        except _UNREADABLE as error:
            raise RowError("modalities.image-unreadable", given=name, reason=_reason(error)) from None

    def _source(self, value: Any) -> tuple[Any, str]:
        """What Pillow opens, and how to call it in an error."""
        if isinstance(value, dict):  # datasets' form of a picture not yet decoded
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes | bytearray):
            source, name, size = io.BytesIO(value), f"<{len(value)} bytes>", len(value)
        elif isinstance(value, str | Path) and str(value):
            source = Path(value)
            name = str(value)
            if "\0" in name or not source.is_file():
                raise RowError("modalities.image-missing", given=name)
            size = source.stat().st_size
        else:
            raise RowError("modalities.no-image", given=repr(value)[:40])
        if size > self.max_bytes:
            raise RowError("modalities.image-file-too-large", given=name, bytes=size, allowed=self.max_bytes)
        return source, name

    def _rgb(self, picture: Pillow.Image, name: str) -> Pillow.Image:
        if min(picture.size) < 1:
            raise RowError("modalities.image-unreadable", given=name, reason="0 pixels")
        picture = ImageOps.exif_transpose(picture)
        if picture.mode == "F" or picture.mode.startswith("I"):
            return _deep(picture)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            white = Pillow.new("RGBA", picture.size, "white")
            picture = Pillow.alpha_composite(white, picture)
        return picture.convert("RGB")

    def augment(self, raw: Pillow.Image, rng: numpy.random.Generator) -> Pillow.Image:
        """Turned, shifted, lighter or darker, a little of each; what enters at the edges has the mean colour.

        Cropped, in other colours or in grey only where asked for (the variations of SimCLR, arXiv:2002.05709).
        """
        angle, across, down, brightness, contrast = rng.uniform(-1, 1, 5)
        if self.flip and rng.random() < 0.5:
            raw = ImageOps.mirror(raw)
        if self.crop < 1:
            raw = _cropped(raw, rng.uniform(self.crop, 1), rng)
        mean = numpy.asarray(ImageStat.Stat(raw).mean)
        moved = raw.rotate(
            angle * self.rotation,
            Pillow.Resampling.BILINEAR,
            translate=(across * self.shift * raw.width, down * self.shift * raw.height),
            fillcolor=tuple(mean.astype(int).tolist()),
        )
        table = (numpy.arange(256)[None] - mean[:, None]) * (1 + contrast * self.light)  # (3, 256)
        table += mean[:, None] * (1 + brightness * self.light)
        lit = moved.point(table.round().clip(0, 255).astype(int).ravel().tolist())
        if not (self.colour or self.grey):
            return lit
        strength, hue = rng.uniform(-1, 1, 2) * self.colour
        return _coloured(lit, 0.0 if rng.random() < self.grey else 1 + strength, hue * numpy.pi / 2)

    def corrupt(self, raw: Pillow.Image, severity: float, rng: numpy.random.Generator) -> Pillow.Image:
        """Out of focus (a radius of up to a twentieth of the side) and noisy (a deviation of up to a quarter of the range)."""
        blurred = raw.filter(ImageFilter.GaussianBlur(severity * min(raw.size) / 20))
        return _picture(numpy.asarray(blurred, dtype=float) + rng.normal(0, 64 * severity, (raw.height, raw.width, 3)))

    def statistics(self, raw: Pillow.Image) -> dict[str, float | str]:
        """Width and height in pixels, mean brightness and contrast (0 to 1), and the shape."""
        grey = numpy.asarray(raw.convert("L"), dtype=float) / 255
        ratio = raw.width / raw.height
        return {
            "width": float(raw.width),
            "height": float(raw.height),
            "brightness": float(grey.mean()),
            "contrast": float(grey.std()),
            "shape": "square" if 0.95 < ratio < 1.05 else "wide" if ratio > 1 else "tall",
        }

    def preview(self, value: Any, side: int = 160) -> str:
        """A JPEG."""
        small = self.read(value)
        small.thumbnail((side, side))
        stream = io.BytesIO()
        small.save(stream, "JPEG", quality=80)
        return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _cropped(picture: Pillow.Image, area: float, rng: numpy.random.Generator) -> Pillow.Image:
    """A part of this share of the area, up to a third wider or higher than the picture, in the picture's size."""
    side = area**0.5
    wider = numpy.exp(rng.uniform(-1, 1) * numpy.log(4 / 3) / 2).clip(side, 1 / side)
    width = min(picture.width * side * wider, picture.width)  # as wide as the picture is a hair wider by rounding
    height = min(picture.height * side / wider, picture.height)
    left, top = rng.random() * (picture.width - width), rng.random() * (picture.height - height)
    box = (left, top, min(left + width, picture.width), min(top + height, picture.height))
    return picture.resize(picture.size, Pillow.Resampling.BILINEAR, box=box)


def _coloured(picture: Pillow.Image, strength: float, angle: float) -> Pillow.Image:
    """Colours turned around the grey axis, then moved away from grey, or towards it where `strength` is below 1."""
    across = numpy.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    turn = numpy.cos(angle) * numpy.eye(3) + (1 - numpy.cos(angle)) / 3 + numpy.sin(angle) * across
    matrix = (strength * numpy.eye(3) + (1 - strength) * numpy.array(LUMA)) @ turn
    return picture.convert("RGB", tuple(numpy.pad(matrix, ((0, 0), (0, 1))).ravel().tolist()))


def _deep(picture: Pillow.Image) -> Pillow.Image:
    """A picture of more than 8 bits: whole numbers reach to 65,535, fractions to 1 (or 255 where any is larger)."""
    values = numpy.asarray(picture, dtype=float)
    if picture.mode != "F":
        values = values / 257
    elif values.max() <= 1:
        values = values * 255
    return _picture(numpy.repeat(values[:, :, None], 3, axis=2))


def _picture(pixels: numpy.ndarray) -> Pillow.Image:
    return Pillow.fromarray(pixels.round().clip(0, 255).astype(numpy.uint8))


def _reason(error: BaseException) -> str:
    return (
        str(error).splitlines()[0][:120]
        if str(error) and not isinstance(error, Pillow.UnidentifiedImageError)
        else type(error).__name__
    )
