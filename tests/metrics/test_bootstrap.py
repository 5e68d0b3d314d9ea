"""Intervals held against closed formulas and simulated truth."""

import time

import numpy as np
import pytest

from jishi.metrics.bootstrap import confidence, interval, replicate
from jishi.metrics.proportion import wilson


def test_the_interval_of_a_mean_is_that_of_the_central_limit():
    values = np.random.default_rng(1).normal(5, 2, 400)
    value, low, high = confidence(lambda rows: values[rows].mean(), 400, resamples=2000)
    half = 1.96 * values.std() / 400**0.5
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((value - half, value + half), abs=0.03)


def test_ninety_five_in_a_hundred_intervals_hold_the_truth():
    rng = np.random.default_rng(2)
    held = 0
    for seed in range(120):
        values = rng.binomial(1, 0.7, 150)
        _, low, high = confidence(lambda rows, values=values: values[rows].mean(), 150, resamples=500, seed=seed)
        held += low <= 0.7 <= high
    assert 0.90 <= held / 120 <= 0.98


def test_bias_is_corrected():
    """Replicates that sit one deviation below the value: the interval moves up by twice that, not down."""
    replicates = np.random.default_rng(3).normal(0, 1, 20000)
    low, high = interval(replicates, 1.0)
    assert (low, high) == pytest.approx((2 - 1.96, 2 + 1.96), abs=0.25)


def test_few_replicates_give_standard_errors_within_the_scale():
    assert interval(np.array([0.4, 0.6] * 50), 0.5) == pytest.approx((0.5 - 1.959964 * 0.1, 0.5 + 1.959964 * 0.1))
    assert interval(np.array([0.8, 1.0] * 50), 0.9) == pytest.approx((0.9 - 1.959964 * 0.1, 1))
    assert interval(np.array([-0.1, 0.1] * 50), 0.0) == pytest.approx((-0.1959964, 0.1959964))


def test_the_same_seed_draws_the_same_and_another_does_not():
    values = np.arange(50.0)
    draws = [replicate(lambda rows: values[rows].mean(), 50, resamples=20, seed=seed) for seed in (4, 4, 5)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_a_dear_statistic_is_drawn_less_often_and_never_under_a_hundred_times():
    def dear(rows):
        time.sleep(0.002)
        return rows.mean()

    assert len(replicate(dear, 5, resamples=1000, seconds=0.3)) in (100, 200)
    assert len(replicate(dear, 5, resamples=1000, seconds=0)) == 100
    assert len(replicate(dear, 5, resamples=7, seconds=0)) == 7


def test_fewer_resamples_are_the_beginning_of_more():
    values = np.arange(50.0)
    many, few = (replicate(lambda rows: values[rows].mean(), 50, resamples=count) for count in (30, 10))
    assert np.array_equal(many[:10], few)


def test_a_score_undefined_on_a_resample_is_left_out():
    whole = np.arange(1000.0)
    assert interval(np.append(whole, [np.nan] * 9), 500) == interval(whole, 500)
    assert interval(np.append(whole[:9], [np.nan] * 9), 4) == interval(whole[:9], 4)
    assert interval(np.array([np.nan]), 2.0) == (2.0, 2.0)


def test_wilson_agrees_with_the_published_example():
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (right, rows), expected in published.items():
        assert wilson(right / rows, rows) == pytest.approx(expected, abs=6e-5)
