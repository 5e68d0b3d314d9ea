"""Every way to choose, held to numbers worked out by hand and to gradients written out in full."""

import math

import numpy
import pytest

from jishi.acquisition import _apart, _spread, _uncertain
from jishi.acquisition.at_random import AtRandom
from jishi.acquisition.badge import BADGE
from jishi.acquisition.bald import BALD
from jishi.acquisition.core_set import CoreSet
from jishi.acquisition.entropy import Entropy
from jishi.acquisition.margin import Margin
from jishi.core import registry
from jishi.core.contracts import Acquisition, Unlabelled

SURE, TORN, EVEN = [0.9, 0.06, 0.04], [0.48, 0.46, 0.06], [0.4, 0.3, 0.3]  # margins 0.84, 0.02, 0.1
ROWS = Unlabelled(numpy.array([SURE, TORN, EVEN]))


def rng():
    return numpy.random.default_rng(0)


def test_entropy_and_margin_disagree_where_they_should():
    assert Margin().choose(ROWS, 3, rng()) == [1, 2, 0]
    assert Entropy().choose(ROWS, 3, rng()) == [2, 1, 0]
    assert _uncertain.entropy(numpy.array(EVEN), False) == pytest.approx(-0.4 * math.log(0.4) - 0.6 * math.log(0.3))
    assert _uncertain.entropy(numpy.array([1.0, 0.0]), False) == 0


def test_several_labels_are_questions_of_their_own():
    rows = Unlabelled(numpy.array([[0.9, 0.5], [0.8, 0.8], [0.99, 0.7]]), several=True)
    assert _uncertain.lead(rows) == pytest.approx([0.0, 0.6, 0.4])
    assert _uncertain.entropy(numpy.array([0.5, 0.5]), True) == pytest.approx(2 * math.log(2))
    assert Margin().choose(rows, 2, rng()) == [0, 2]
    assert Entropy().choose(rows, 3, rng()) == [0, 1, 2]  # 0.325 + 0.693, 2 × 0.500, 0.056 + 0.611


def test_bald_asks_for_what_the_passes_differ_on_not_for_what_is_torn_in_each():
    torn = [[0.5, 0.5], [0.5, 0.5]]
    split = [[1.0, 0.0], [0.0, 1.0]]
    passes = numpy.array([torn, split]).transpose(1, 0, 2)  # (2 passes, 2 rows, 2 labels)
    rows = Unlabelled(passes.mean(0), passes=passes)
    assert BALD().choose(rows, 2, rng()) == [1, 0]
    said = _uncertain.entropy(passes.mean(0), False) - _uncertain.entropy(passes, False).mean(0)
    assert said == pytest.approx([0.0, math.log(2)])
    with pytest.raises(ValueError, match="dropout"):
        BALD().choose(ROWS, 1, rng())


def test_a_near_duplicate_waits_until_nothing_else_is_left():
    vectors = numpy.array([[1.0, 0.0], [1.0, 0.01], [-1.0, 0.0], [0.0, -1.0]])
    worth = numpy.array([4.0, 3.0, 2.0, 1.0])
    assert _apart.best(worth, 3, vectors) == [0, 2, 3]
    assert _apart.best(worth, 4, vectors) == [0, 2, 3, 1]
    assert _apart.best(worth, 3, None) == [0, 1, 2]
    assert _apart.best(worth, 9, vectors) == [0, 2, 3, 1]
    same = numpy.ones((3, 2))  # no direction at all: nothing is held back
    assert _apart.best(worth[:3], 3, same) == [0, 1, 2]


@pytest.mark.parametrize("several", [False, True])
def test_badge_compares_gradients_without_writing_them_down(several):
    values = rng().random((6, 3))
    values = values if several else values / values.sum(1, keepdims=True)
    rows = Unlabelled(values, several=several, vectors=rng().normal(size=(6, 4)))
    likeliest = numpy.eye(3)[values.argmax(1)]
    errors = values - (values >= 0.5 if several else likeliest)
    states = numpy.hstack([rows.vectors, numpy.ones((6, 1))])  # the last is what the bias is multiplied with
    whole = numpy.einsum("nk,nd->nkd", errors, states).reshape(6, -1)  # the gradient of the last layer
    asked = []
    seeded = _spread.seeded

    def watched(first, distances, count, random):
        asked.append((first, [distances(place) for place in range(6)]))
        return seeded(first, distances, count, random)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_spread, "seeded", watched)
        chosen = BADGE().choose(rows, 4, rng())
    first, distances = asked[0]
    assert first == (whole**2).sum(1).argmax() == chosen[0]
    assert numpy.array(distances) == pytest.approx(((whole[:, None] - whole) ** 2).sum(2))
    assert len(set(chosen)) == 4


def test_badge_never_takes_a_copy_while_something_else_is_left():
    scores = numpy.array([[0.6, 0.4]] * 5 + [[0.4, 0.6]])
    vectors = numpy.array([[1.0, 0.0]] * 5 + [[0.0, 1.0]])
    for seed in range(5):
        chosen = BADGE().choose(Unlabelled(scores, vectors=vectors), 3, numpy.random.default_rng(seed))
        assert 5 in chosen[:2] and len(set(chosen)) == 3


def test_a_farther_row_is_drawn_more_often():
    distances = numpy.array([[0.0, 1.0, 3.0], [1.0, 0.0, 1.0], [3.0, 1.0, 0.0]])
    second = [_spread.seeded(0, lambda at: distances[at], 2, numpy.random.default_rng(seed))[1] for seed in range(400)]
    assert second.count(2) / 400 == pytest.approx(0.75, abs=0.06) and 0 not in second


def test_core_set_goes_from_what_is_known_to_the_farthest():
    line = Unlabelled(numpy.full((5, 2), 0.5), vectors=numpy.array([[0.0], [1.0], [4.0], [9.0], [5.0]]))
    assert CoreSet().choose(line, 3, rng()) == [2, 3, 0]  # 4 is nearest the mean, 3.8; 9 lies 5 off, then 0 lies 4
    known = Unlabelled(line.probabilities, vectors=line.vectors, labelled=numpy.array([[9.0], [0.5]]))
    assert CoreSet().choose(known, 3, rng()) == [4, 2, 0]  # 5 lies 4 off; then 4 lies 1 off; then 0, as 1, a half
    many = numpy.array([[0.0], *[[9.0]] * 600])  # more than are compared at once
    assert CoreSet().choose(Unlabelled(line.probabilities, vectors=line.vectors, labelled=many), 1, rng()) == [2]


@pytest.mark.parametrize("plugin", [BADGE(), CoreSet()], ids=["badge", "core-set"])
def test_a_way_that_needs_vectors_says_so(plugin):
    assert plugin.vectors
    with pytest.raises(ValueError, match="vectors"):
        plugin.choose(ROWS, 1, rng())


def test_random_choice_follows_from_the_seed():
    rows = Unlabelled(numpy.full((100, 2), 0.5))
    once, again = (AtRandom().choose(rows, 10, rng()) for _ in range(2))
    assert once == again and len(set(once)) == 10
    assert AtRandom().choose(rows, 10, numpy.random.default_rng(1)) != once


@pytest.mark.parametrize("name", registry.names(Acquisition))
@pytest.mark.parametrize("several", [False, True])
def test_every_way_gives_each_place_once(name, several):
    """Whatever the rows: more asked than there are, copies, one row, none."""
    plugin = registry.get(Acquisition, name)()
    for count in (0, 1, 7):
        values = rng().random((count, 3))
        values = values if several else values / values.sum(1, keepdims=True)
        passes = numpy.stack([values, values[::-1]])
        rows = Unlabelled(
            values, several=several, vectors=numpy.repeat(rng().normal(size=(count, 1)), 4, 1), passes=passes
        )
        for asked in (0, 1, 5, 20):
            chosen = plugin.choose(rows, asked, rng())
            assert len(chosen) == len(set(chosen)) == min(asked, count)
            assert all(isinstance(place, int) and 0 <= place < count for place in chosen)
        copies = Unlabelled(values, several=several, vectors=numpy.ones((count, 4)), passes=passes)
        assert sorted(plugin.choose(copies, count, rng())) == list(range(count))
