import math

import numpy
import pytest

from jishi.metrics.temperature import BOUNDS, fit, fit_binary, fit_shares, sigmoid, softmax


def test_temperature_makes_confidence_equal_the_share_of_right_answers():
    logits = numpy.tile([6.0, 0.0], (100_000, 1))  # so many that the prior weighs nothing
    targets = numpy.array([0] * 80_000 + [1] * 20_000)
    assert fit(logits, targets) == pytest.approx(6 / math.log(4), rel=1e-3)  # sigmoid(6 / T) = 0.8


def test_a_few_rows_that_are_all_right_give_little_certainty():
    """With one row of margin 2, the cost log(1 + exp(-2β)) + 2 (log β)² is least where its derivative is 0."""
    beta = 1 / fit(numpy.array([[2.0, 0.0]]), numpy.array([0]))
    slope = -2 / (1 + math.exp(2 * beta)) + 4 * math.log(beta) / beta
    assert slope == pytest.approx(0, abs=1e-4)
    assert 1 < beta < 1.1


def test_binary_temperature_by_hand():
    logits = numpy.full((40_000, 1), 3.0)
    targets = (numpy.arange(40_000) % 4 > 0).astype(int)[:, None]  # three of four
    assert fit_binary(logits, targets) == pytest.approx(3 / math.log(3), rel=1e-3)


def test_temperature_stays_within_bounds_and_is_one_without_rows():
    sure = numpy.array([[1.0, 0.0]] * 5000)
    assert fit(sure, numpy.zeros(5000, int)) == pytest.approx(BOUNDS[0], rel=1e-3)
    assert fit(sure, numpy.ones(5000, int)) == pytest.approx(BOUNDS[1], rel=1e-3)
    assert fit(numpy.zeros((0, 2)), numpy.zeros(0, int)) == pytest.approx(1.0)


def test_probabilities_do_not_overflow():
    assert softmax(numpy.array([1000.0, 0.0])).tolist() == [1.0, 0.0]
    assert sigmoid(numpy.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]


def test_the_score_of_what_was_chosen_becomes_how_right_it_is():
    """Two rows in three are right, sure by odds of e^4: the temperature makes that odds of 2, so it is near 4 / ln 2."""
    logits, ones = numpy.tile([0.0, 4.0], (99_000, 1)), numpy.ones(99_000, dtype=int)
    found = fit_shares(logits, ones, numpy.tile([1.0, 1.0, 0.0], 33_000))
    assert found == pytest.approx(4 / math.log(2), rel=1e-2)
    assert fit_shares(logits, ones, numpy.full(99_000, 2 / 3)) == pytest.approx(found)
