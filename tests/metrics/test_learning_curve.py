import pytest

from jishi.metrics.learning_curve import extrapolate

ROWS = [125, 250, 500, 1000]


def test_a_power_law_is_continued():
    law = extrapolate(ROWS, [1 - (0.1 + 2 * rows**-0.5) for rows in ROWS])
    assert law is not None
    assert law(10_000) == pytest.approx(1 - (0.1 + 2 / 100), abs=5e-3)


def test_scores_that_do_not_grow_are_not_made_to():
    law = extrapolate(ROWS, [0.8, 0.8, 0.8, 0.8])
    assert law is not None
    assert law(100_000) == pytest.approx(0.8, abs=1e-6)


def test_a_falling_curve_does_not_fall_further():
    law = extrapolate(ROWS, [0.9, 0.8, 0.7, 0.6])
    assert law is not None
    assert law(100_000) == pytest.approx(0.75, abs=1e-6)  # their mean: no law that rises fits better


def test_two_points_say_nothing():
    assert extrapolate([10, 20, 20], [0.5, 0.6, 0.7]) is None
