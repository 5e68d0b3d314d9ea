"""What rows without labels are learnt as, and how much each counts, held to numbers worked out by hand."""

import math

import numpy
import pytest
import torch

from jishi.semi_supervision.fixmatch import FixMatch
from jishi.semi_supervision.self_training import SelfTraining, balanced, lowest
from jishi.semi_supervision.uda import UDA

SAID = torch.tensor([[0.95, 0.05], [0.5, 0.5], [0.1, 0.9]])


def test_the_threshold_is_the_lowest_at_which_enough_are_right():
    sure = numpy.array([0.6, 0.9, 0.8, 0.7, 0.95])
    right = numpy.array([False, True, False, True, True])
    # From the surest down: right of all so far are 1/1, 2/2, 2/3, 3/4, 3/5.
    assert lowest(sure, right, 1.0) == 0.9
    assert lowest(sure, right, 0.75) == 0.7
    assert lowest(sure, right, 0.7) == 0.7
    assert lowest(sure, right, 0.6) == 0.6
    assert lowest(sure, ~right, 0.9) == math.inf


def test_rows_of_equal_confidence_stand_on_one_side_of_the_threshold():
    sure, right = numpy.array([0.9, 0.8, 0.8]), numpy.array([True, True, False])
    assert lowest(sure, right, 0.9) == 0.9
    assert lowest(sure, right, 2 / 3) == 0.8


def test_no_label_has_more_than_its_odds_allow():
    halves = numpy.array([0.5, 0.5])
    # Odds of 3 : 1 at most: of 10 and 100 there stay 30 beside the 10.
    assert balanced(numpy.array([10, 100]), halves, 3.0).tolist() == [10, 30]
    assert balanced(numpy.array([40, 100]), halves, 3.0).tolist() == [40, 100]
    assert balanced(numpy.array([40, 100]), halves, 1.0).tolist() == [40, 40]
    # A label of one row in five may come to 3 : 4, three in seven.
    assert balanced(numpy.array([90, 40]), numpy.array([0.2, 0.8]), 3.0).tolist() == [30, 40]


def test_self_training_keeps_the_surest_of_a_label_that_is_too_frequent():
    method = SelfTraining(precision=0.9, balance=1.0)
    judged = numpy.array([[0.9, 0.1], [0.4, 0.6], [0.55, 0.45]])
    settled = method.settle(judged, numpy.array([0, 1, 1]), numpy.array([0.5, 0.5]))
    assert settled.threshold == 0.6 and settled.shares == (0.5, 0.5)
    said = torch.tensor([[0.7, 0.3], [0.9, 0.1], [0.8, 0.2], [0.35, 0.65], [0.59, 0.41]])
    targets, counts = settled.teach(said)
    assert targets.argmax(1).tolist() == [0, 0, 0, 1, 0]
    assert counts.tolist() == [0, 1, 0, 1, 0]
    assert SelfTraining(threshold=0.6, balance=None).teach(said)[1].tolist() == [1, 1, 1, 1, 0]


def test_a_threshold_that_is_given_is_not_fitted():
    settled = SelfTraining(threshold=0.8).settle(numpy.array([[0.9, 0.1]]), numpy.array([0]), numpy.array([0.5, 0.5]))
    assert settled.threshold == 0.8


def test_fixmatch_takes_the_likeliest_label_of_rows_above_the_threshold():
    targets, counts = FixMatch(threshold=0.9).teach(SAID)
    assert targets[[0, 2]].tolist() == [[1, 0], [0, 1]]
    assert counts.tolist() == [1, 0, 1]


def test_uda_sharpens_what_is_said():
    """By a temperature of 1/2 probabilities are squared: 0.9² = 0.81 and 0.1² = 0.01 of 0.82."""
    targets, counts = UDA(threshold=0.92, temperature=0.5).teach(SAID)
    assert targets[2].tolist() == pytest.approx([0.01 / 0.82, 0.81 / 0.82], abs=1e-6)
    assert targets[1].tolist() == pytest.approx([0.5, 0.5])
    assert counts.tolist() == [1, 0, 0]
