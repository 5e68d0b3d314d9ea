import io

import numpy
import pytest
from PIL import Image as Pillow

from jishi.core.errors import RowError
from jishi.modalities.image import Image, _coloured


def png(picture, format="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


def corner(value):
    return Image().read(value).getpixel((0, 0))


def test_paths_bytes_and_pictures_read_alike(tmp_path):
    picture = Pillow.new("RGB", (3, 2), (10, 20, 30))
    file = tmp_path / "a.png"
    picture.save(file)
    for value in (str(file), file, file.read_bytes(), picture, {"path": str(file), "bytes": None}):
        read = Image().read(value)
        assert (read.mode, read.size, read.getpixel((0, 0))) == ("RGB", (3, 2), (10, 20, 30))


def test_every_kind_of_pixel_becomes_rgb():
    assert corner(png(Pillow.new("L", (1, 1), 7))) == (7, 7, 7)
    assert corner(png(Pillow.new("1", (1, 1), 1))) == (255, 255, 255)
    assert corner(png(Pillow.new("RGBA", (1, 1), (255, 0, 0, 0)))) == (255, 255, 255)  # clear means the paper shows
    assert corner(png(Pillow.new("LA", (1, 1), (0, 255)))) == (0, 0, 0)
    assert corner(png(Pillow.new("CMYK", (1, 1), (0, 0, 0, 0)), "JPEG")) == (255, 255, 255)
    deep = Pillow.fromarray(numpy.full((1, 1), 257 * 100, dtype=numpy.uint16))
    assert corner(png(deep)) == (100, 100, 100)
    fraction = Pillow.fromarray(numpy.full((1, 1), 0.4, dtype=numpy.float32))
    assert corner(png(fraction, "TIFF")) == (102, 102, 102)


def test_a_turned_photograph_is_put_upright():
    picture = Pillow.new("RGB", (4, 2))
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    assert Image().read(png(picture, "JPEG", exif=exif)).size == (2, 4)


def test_the_first_frame_stands_for_an_animation():
    frames = [Pillow.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    assert corner(png(frames[0], "GIF", save_all=True, append_images=frames[1:])) == (255, 0, 0)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "no-image"),
        (b"", "image-unreadable"),
        (b"not a picture", "image-unreadable"),
        (png(Pillow.effect_noise((64, 64), 50))[:-900], "image-unreadable"),
        (png(Pillow.effect_noise((64, 64), 50), "JPEG")[:700], "image-unreadable"),
        ("/no/such/picture.png", "image-missing"),
        ("a\0b", "image-missing"),
        (png(Pillow.new("L", (101, 100))), "image-too-large"),
        (b"x" * 20_001, "image-file-too-large"),
    ],
)
def test_what_is_no_picture_is_refused(value, code):
    with pytest.raises(RowError) as caught:
        Image(max_pixels=10_000, max_bytes=20_000).read(value)
    assert caught.value.code == f"modalities.{code}"
    assert len(str(caught.value)) < 400


def test_a_bomb_is_refused_before_its_pixels_are_decoded():
    header = png(Pillow.new("1", (20_000, 20_000)))  # 400 million pixels in a few kilobytes
    with pytest.raises(RowError) as caught:
        Image().read(header)
    assert caught.value.code == "modalities.image-too-large"


def test_a_format_that_is_not_listed_is_no_picture():
    assert Pillow.open(io.BytesIO(b"P6 1 1 255\n\0\0\0")).size == (1, 1)  # Pillow would read it
    with pytest.raises(RowError):
        Image().read(b"P6 1 1 255\n\0\0\0")


def test_augmenting_keeps_the_size_and_follows_the_generator():
    picture = Pillow.effect_noise((20, 30), 60).convert("RGB")
    first, again, other = (Image().augment(picture, numpy.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.size == (20, 30)
    assert first.tobytes() == again.tobytes() != other.tobytes()
    still = Image(rotation=0, shift=0, light=0)
    assert still.augment(picture, numpy.random.default_rng(0)).tobytes() == picture.tobytes()


def test_pictures_are_mirrored_only_when_asked():
    picture = Pillow.fromarray(numpy.arange(12, dtype=numpy.uint8).reshape(2, 2, 3))
    seen = {
        flip: {
            Image(flip=flip, rotation=0, shift=0, light=0).augment(picture, numpy.random.default_rng(seed)).tobytes()
            for seed in range(20)
        }
        for flip in (False, True)
    }
    assert len(seen[False]) == 1
    assert len(seen[True]) == 2


def test_a_crop_as_wide_as_the_picture_stays_within_it():
    """Found at 96 pixels, where rounding put one box in some hundreds outside by a hair."""
    picture, views = Pillow.new("RGB", (96, 96)), Image(crop=0.3)
    for seed in range(1500):
        assert views.augment(picture, numpy.random.default_rng(seed)).size == (96, 96)


def test_a_crop_keeps_its_least_share_and_is_enlarged():
    """Red tells the column and green the row: how far they reach tells how much of the picture is left."""
    down, across = numpy.indices((128, 128))
    places = Pillow.fromarray(numpy.stack([across * 2, down * 2, 0 * down], axis=2).astype(numpy.uint8))
    shares = []
    for seed in range(200):
        part = Image(crop=0.3, rotation=0, shift=0, light=0).augment(places, numpy.random.default_rng(seed))
        assert part.size == (128, 128)
        red, green = (numpy.ptp(numpy.asarray(part)[:, :, channel].astype(int)) for channel in (0, 1))
        shares.append((red / 254) * (green / 254))
        assert 0.7 < red / green < 1.4
    assert 0.27 < min(shares) < 0.4 and 0.9 < max(shares) <= 1


def test_a_third_of_a_turn_makes_red_green_and_leaves_grey_alone():
    assert _coloured(Pillow.new("RGB", (1, 1), (250, 0, 0)), 1.0, 2 * numpy.pi / 3).getpixel((0, 0)) == (0, 250, 0)
    grey = Pillow.new("RGB", (1, 1), (90, 90, 90))
    strong = Image(rotation=0, shift=0, light=0, colour=1.0)
    assert all(
        strong.augment(grey, numpy.random.default_rng(seed)).getpixel((0, 0)) == (90, 90, 90) for seed in range(20)
    )


def test_paler_colours_are_as_bright_and_without_any_the_picture_is_grey():
    picture = (
        Pillow.effect_noise((20, 20), 60)
        .convert("RGB")
        .point([value for _ in range(2) for value in range(256)] + [90] * 256)
    )
    bright = numpy.asarray(picture.convert("L"), dtype=int)
    paler = _coloured(picture, 0.5, 0.0)
    assert abs(numpy.asarray(paler.convert("L"), dtype=int) - bright).max() <= 2
    assert 0 < numpy.asarray(paler, dtype=int).std(2).mean() < numpy.asarray(picture, dtype=int).std(2).mean()
    still = Image(rotation=0, shift=0, light=0, grey=1.0)
    shown = numpy.asarray(still.augment(picture, numpy.random.default_rng(0)), dtype=int)
    assert (shown.std(2) == 0).all() and abs(shown[:, :, 0] - bright).max() <= 1


def test_damage_grows_with_severity_and_none_leaves_the_picture():
    picture = Pillow.effect_noise((20, 20), 60).convert("RGB")

    def changed(severity):
        damaged = Image().corrupt(picture, severity, numpy.random.default_rng(0))
        return numpy.abs(numpy.asarray(damaged, float) - numpy.asarray(picture, float)).mean()

    assert changed(0) == 0 < changed(0.2) < changed(1)


def test_statistics_describe_the_picture():
    half = Pillow.fromarray(numpy.repeat(numpy.array([[0, 255]], dtype=numpy.uint8)[:, :, None], 3, axis=2))
    assert Image().statistics(half) == {
        "width": 2.0,
        "height": 1.0,
        "brightness": 0.5,
        "contrast": 0.5,
        "shape": "wide",
    }
