"""Two bundles' answers beside each other, counted by hand."""

import pytest

from jishi.core.errors import BundleError
from jishi.lifecycle import parity


def said(label, good):
    return {"label": label, "score": max(good, 1 - good), "scores": {"bad": 1 - good, "good": good}}


def test_other_decisions_and_moved_scores_are_counted():
    before = [said("good", 0.9), said("bad", 0.4), said("good", 0.6)]
    after = [said("good", 0.8), said("good", 0.55), said("good", 0.6)]
    found = parity.difference(before, after)
    assert (found.rows, list(found.places)) == (3, [1])
    assert found.largest == pytest.approx(0.15)
    # score, bad, good of each row: 0.1 thrice; 0.05, 0.15, 0.15; nothing
    assert found.mean == pytest.approx((0.3 + 0.35) / 9)


def test_a_tie_that_rounding_turns_is_no_other_decision():
    found = parity.difference([said("good", 0.5000001)], [said("bad", 0.4999999)])
    assert not found.places and found.largest < 1e-5


def test_answers_of_another_shape_are_other_decisions():
    one = {"entities": [{"label": "PER", "start": 0, "end": 2, "score": 0.9}]}
    assert parity.difference([one], [{"entities": []}]).places == [0]


@pytest.mark.parametrize("good", [0.9 - 2e-5, float("nan")])
def test_what_should_be_the_same_may_not_move_beyond_rounding(good):
    found = parity.difference([said("good", 0.9)], [{**said("good", 0.9), "scores": {"bad": 0.1, "good": good}}])
    with pytest.raises(BundleError) as caught:
        parity.same("onnx", found)
    assert caught.value.code == "compress.not-same"
    parity.same("onnx", parity.difference([said("good", 0.9)], [said("good", 0.9 - 5e-6)]))


@pytest.mark.parametrize(("after", "passes"), [(0.91, True), (0.89, True), (0.889, False), (float("nan"), False)])
def test_a_score_may_fall_by_the_tolerance_and_no_further(after, passes):
    found = parity.difference([said("good", 0.9)] * 2, [said("bad", 0.2)] * 2)
    asked = ("int8", found, "accuracy", {"before": 0.9, "after": after}, 0.0100001)
    if passes:
        parity.near(*asked)
        return
    with pytest.raises(BundleError) as caught:
        parity.near(*asked)
    assert caught.value.code == "compress.loses" and caught.value.values["which"] == "1, 2"
