"""Numbers by hand."""

import numpy as np
import pytest

from jishi.metrics.calibration import brier, expected_calibration_error, reliability

SURE = [0.6] * 10 + [0.9] * 10
RIGHT = [1] * 5 + [0] * 5 + [1] * 10


def test_bins_tell_confidence_beside_accuracy():
    low, high = reliability(SURE, RIGHT)
    assert (low["rows"], low["confidence"], low["accuracy"]) == (10, pytest.approx(0.6), 0.5)
    assert (high["rows"], high["confidence"], high["accuracy"]) == (10, pytest.approx(0.9), 1.0)
    assert high["low"] == pytest.approx(10 / (10 + 1.959964**2))  # Wilson where all are right: n / (n + z²)


def test_ece_is_the_mean_gap_over_rows():
    assert expected_calibration_error(reliability(SURE, RIGHT)) == pytest.approx((10 * 0.1 + 10 * 0.1) / 20)
    bins = [{"rows": 30, "confidence": 0.9, "accuracy": 0.8}, {"rows": 10, "confidence": 0.5, "accuracy": 0.9}]
    assert expected_calibration_error(bins) == pytest.approx((30 * 0.1 + 10 * 0.4) / 40)


def test_brier_is_the_mean_squared_gap():
    assert brier([0.8, 0.4], [1, 0]) == pytest.approx((0.04 + 0.16) / 2)


def test_bins_hold_about_equal_mass_and_do_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    sure = rng.random(3000) ** 0.2
    right = rng.random(3000) < sure
    bins = reliability(sure, right)
    assert len(bins) == 15
    assert {entry["rows"] for entry in bins} <= {199, 200, 201}
    order = rng.permutation(3000)
    for entry, shuffled in zip(bins, reliability(sure[order], right[order]), strict=True):
        assert shuffled == pytest.approx(entry)
    assert expected_calibration_error(bins) < 0.03


def test_one_confidence_for_all_and_few_rows_make_one_bin():
    assert [entry["rows"] for entry in reliability([0.7] * 500, [1] * 500)] == [500]
    assert [entry["rows"] for entry in reliability([0.1, 0.5, 0.9], [0, 1, 1])] == [3]
