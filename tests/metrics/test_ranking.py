import numpy
import pytest
from scipy.sparse import csr_matrix

from jishi.metrics.ranking import ndcg, places, ranking, recall


def test_the_scores_are_those_worked_out_by_hand():
    """Found at 1, at 4, and not at all; one right passage each: (1 + 1/4 + 0) / 3; 1 / log2(5) = 0.4307."""
    found = ranking([[1], [4], []])
    assert found["mrr"] == pytest.approx(1.25 / 3)
    assert (found["recall@1"], found["recall@5"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert found["ndcg@10"] == pytest.approx((1 + 0.43067656) / 3)


def test_several_right_passages_are_held_against_their_best_order():
    """Right ones at 2 and 3 of two: (1/log2 3 + 1/log2 4) / (1 + 1/log2 3) = 1.13093 / 1.63093; a third was not found."""
    assert ndcg([2, 3], 2, 10) == pytest.approx(1.1309297 / 1.6309297)
    assert recall([2, 3], 3, 10) == pytest.approx(2 / 3)
    assert ranking([[3, 2]], [2])["mrr"] == 0.5


def test_sklearn_agrees_about_ndcg():
    from sklearn.metrics import ndcg_score

    truth, scores = numpy.array([[0, 1, 0, 1, 0, 0]]), numpy.array([[6, 5, 4, 3, 2, 1]])
    assert ndcg([2, 4], 2, 4) == pytest.approx(ndcg_score(truth, scores, k=4))


@pytest.mark.parametrize("kind", [numpy.asarray, csr_matrix])
def test_a_place_counts_equal_passages_once_and_leaves_out_what_is_right_too(kind):
    """Products of query q: a .9, b .8, c .7, d .8. Row 0 (q, b): a is above, d equal: place 2.5. Row 1 (q, c) leaves b out:
    a and d are above: 3. Row 2 (r, a) and row 3 (s, a): one a, and r prefers d."""
    vectors = {
        "a": [0.9, 0.2],
        "b": [0.8, 0.0],
        "c": [0.7, 0.1],
        "d": [0.8, 1.0],
        "q": [1, 0],
        "r": [0, 1],
        "s": [1, -1],
    }
    pairs = [("q", "b"), ("q", "c"), ("r", "a"), ("s", "a"), ("r", "d")]
    left, right = ([vectors[pair[side]] for pair in pairs] for side in (0, 1))
    found = places(kind(numpy.array(left)), kind(numpy.array(right)), *zip(*pairs, strict=True))
    # s: a .7, b .8, c .6, d −.2 → 2; r: a .2 (d is right too, left out) → 1; d 1.0 → 1
    assert found == pytest.approx([2.5 - 0.0, 3.0, 1.0, 2.0, 1.0])


def test_nothing_to_rank_is_no_error():
    assert ranking([])["mrr"] == 0.0
