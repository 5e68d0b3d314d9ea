import math

import numpy
import pytest

from jishi.metrics.temperature import BOUNDS, fit, fit_binary, sigmoid, softmax


def test_temperature_makes_confidence_equal_the_share_of_right_answers():
    logits = numpy.tile([6.0, 0.0], (10, 1))
    targets = numpy.array([0] * 8 + [1] * 2)
    assert fit(logits, targets) == pytest.approx(6 / math.log(4), rel=1e-4)  # sigmoid(6 / T) = 0.8


def test_binary_temperature_by_hand():
    logits = numpy.array([[3.0], [3.0], [3.0], [3.0]])
    assert fit_binary(logits, numpy.array([[1], [1], [1], [0]])) == pytest.approx(3 / math.log(3), rel=1e-4)


def test_temperature_stays_within_bounds_and_is_one_without_rows():
    sure = numpy.array([[1.0, 0.0]] * 5)
    assert fit(sure, numpy.zeros(5, int)) == pytest.approx(BOUNDS[0], rel=1e-3)
    assert fit(sure, numpy.ones(5, int)) == pytest.approx(BOUNDS[1], rel=1e-3)
    assert fit(numpy.zeros((0, 2)), numpy.zeros(0, int)) == 1.0


def test_probabilities_do_not_overflow():
    assert softmax(numpy.array([1000.0, 0.0])).tolist() == [1.0, 0.0]
    assert sigmoid(numpy.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]
