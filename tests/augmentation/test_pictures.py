"""Ways to vary a picture, held to single pixels."""

from collections import Counter

import numpy
import pytest
from PIL import Image

from jishi.augmentation import rand_augment
from jishi.augmentation.colour import Colour
from jishi.augmentation.crop import Crop
from jishi.augmentation.cutout import Cutout
from jishi.augmentation.flip import Flip
from jishi.augmentation.rand_augment import CHANGES, RandAugment
from jishi.augmentation.rotate import Rotate

PLACES = numpy.stack([*numpy.meshgrid(numpy.arange(0, 200, 10), numpy.arange(0, 200, 10)), numpy.full((20, 20), 7)], -1)
PICTURE = Image.fromarray(PLACES.astype(numpy.uint8))  # red says how far right a pixel is, green how far down


def rng(seed=0):
    return numpy.random.default_rng(seed)


def pixels(picture):
    return numpy.asarray(picture).astype(int)


@pytest.mark.parametrize("way", [Crop(area=1.0), Rotate(angle=0, shift=0), Colour(light=0, strength=0, grey=0)])
def test_a_change_of_nothing_changes_nothing(way):
    assert way.vary(PICTURE, rng()) == PICTURE


def test_a_mirrored_picture_has_its_columns_the_other_way_round():
    assert numpy.array_equal(pixels(Flip().vary(PICTURE, rng())), pixels(PICTURE)[:, ::-1])


def test_a_crop_shows_a_part_of_the_area_asked_for():
    for seed in range(50):
        shown = pixels(Crop(area=0.25).vary(PICTURE, rng(seed)))
        width, height = ((shown[..., axis].max() - shown[..., axis].min()) / 190 for axis in (0, 1))
        assert 0.2 < width * height <= 1 and numpy.all(numpy.diff(shown[:, :, 0], axis=1) >= 0)


def test_a_turn_leaves_the_middle_and_a_shift_moves_it():
    turned = pixels(Rotate(angle=180, shift=0).vary(PICTURE, rng(1)))
    assert abs(turned[9:11, 9:11].mean(axis=(0, 1)) - [95, 95, 7]).max() < 8
    moved = [pixels(Rotate(angle=0, shift=0.25).vary(PICTURE, rng(seed)))[10, 10, 0] - 100 for seed in range(50)]
    assert min(moved) < -25 and max(moved) > 25 and max(map(abs, moved)) <= 50  # a quarter of 20 pixels, ten each


def test_colours_change_and_grey_is_of_one_value():
    assert Colour(light=0, strength=1.0, grey=0).vary(PICTURE, rng()) != PICTURE
    grey = pixels(Colour(light=0, strength=0, grey=1.0).vary(PICTURE, rng()))
    assert numpy.ptp(grey, axis=-1).max() <= 1


def test_cutout_covers_a_square_with_the_mean_colour_and_no_more():
    """Half of 20 is 10: a centre at least 5 from every edge covers 100 pixels, one in a corner a quarter of them."""
    sizes = set()
    for seed in range(300):
        varied = pixels(Cutout(side=0.5).vary(PICTURE, rng(seed)))
        covered = (varied == [95, 95, 7]).all(-1)
        assert numpy.array_equal(varied[~covered], pixels(PICTURE)[~covered])
        rows, columns = covered.any(1), covered.any(0)
        assert covered.sum() == rows.sum() * columns.sum()
        sizes.add(int(covered.sum()))
    assert min(sizes) == 25 and max(sizes) == 100


def test_solarize_inverts_what_is_brighter_than_the_threshold():
    given, found = pixels(PICTURE), pixels(rand_augment.solarize(PICTURE, -0.5))
    assert numpy.array_equal(found, numpy.where(given < 128, given, 255 - given))


def test_posterize_keeps_the_highest_bits():
    assert numpy.array_equal(pixels(rand_augment.posterize(PICTURE, 0.5)), pixels(PICTURE) & 0b11111100)
    assert numpy.array_equal(pixels(rand_augment.posterize(PICTURE, -1.0)), pixels(PICTURE) & 0b11110000)


def test_a_shift_shows_what_was_so_far_away():
    """0.45 of 20 pixels are 9, at a third of the strength 3; what enters has the mean colour."""
    across = pixels(rand_augment.shifted_across(PICTURE, 1 / 3))
    assert numpy.array_equal(across[:, :17], pixels(PICTURE)[:, 3:]) and (across[:, 17:] == [95, 95, 7]).all()
    down = pixels(rand_augment.shifted_down(PICTURE, -1 / 3))
    assert numpy.array_equal(down[3:], pixels(PICTURE)[:17]) and (down[:3] == [95, 95, 7]).all()


def test_a_shear_moves_each_line_by_its_own_distance():
    """A strength of 1 moves the line in the middle of row y by 0.3 (y + 0.5) pixels, of ten each."""
    sheared = pixels(rand_augment.sheared_across(PICTURE, 1.0))
    for row in (0, 7, 15):
        assert abs(sheared[row, 5, 0] - (50 + 10 * 0.3 * (row + 0.5))) <= 1
    assert abs(pixels(rand_augment.sheared_down(PICTURE, 1.0))[5, 7, 1] - (50 + 10 * 0.3 * 7.5)) <= 1


def test_brightness_is_multiplied_and_colour_taken_away():
    """At a strength of −1 a tenth is left."""
    colour, contrast, brightness, sharpness = CHANGES[-4:]
    assert abs(pixels(brightness(PICTURE, -1.0)) - pixels(PICTURE) * 0.1).max() <= 1
    assert numpy.ptp(pixels(colour(PICTURE, -1.0)), axis=-1).max() <= 0.1 * 193 + 1
    assert numpy.ptp(pixels(contrast(PICTURE, -1.0))[..., 0]) <= 0.1 * 190 + 1
    assert all(one(PICTURE, 0.0) == PICTURE for one in (colour, contrast, brightness, sharpness))


def test_a_turn_goes_as_far_as_it_is_strong():
    assert rand_augment.turned(PICTURE, 1.0) == PICTURE.rotate(30, Image.Resampling.BILINEAR, fillcolor=(95, 95, 7))


def test_changes_are_drawn_evenly_in_both_directions_at_one_strength(monkeypatch):
    seen = Counter()
    noted = tuple(
        lambda picture, strength, place=place: seen.update([(place, strength)]) or picture for place in range(14)
    )
    assert len(CHANGES) == 14
    monkeypatch.setattr(rand_augment, "CHANGES", noted)
    for seed in range(1000):
        RandAugment(changes=3, magnitude=7).vary(PICTURE, rng(seed))
    assert sum(seen.values()) == 3000 and {strength for _, strength in seen} == {0.7, -0.7}
    assert len(seen) == 28 and all(abs(count - 3000 / 28) < 4 * (3000 / 28) ** 0.5 for count in seen.values())
