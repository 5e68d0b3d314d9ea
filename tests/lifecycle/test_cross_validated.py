"""No probe judges a row that it has learnt from, nor a copy of one."""

import numpy
import pytest

from jishi.lifecycle import cross_validated


def test_unseen_probabilities_are_those_of_a_probe_without_the_row():
    """Held to leave-one-out probes fitted one by one."""
    from sklearn.linear_model import LogisticRegression

    rng = numpy.random.default_rng(1)
    states, labels = rng.normal(size=(12, 3)), numpy.arange(12) % 3
    found = cross_validated._unseen(states, labels, numpy.arange(12), 3, 4, 0, 0.1)
    folds = cross_validated._folds(labels, numpy.arange(12), 4, 0)
    assert sorted(numpy.concatenate([judged for _, judged in folds]).tolist()) == list(range(12))
    for learnt, judged in folds:
        assert not set(learnt) & set(judged)
        probe = LogisticRegression(C=0.1, max_iter=200).fit(states[learnt], labels[learnt])
        assert found[judged] == pytest.approx(probe.predict_proba(states[judged]))
    groups = numpy.array([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert all(
        len({*groups[learnt]} & {*groups[judged]}) == 0
        for learnt, judged in cross_validated._folds(labels, groups, 4, 0)
    )


def test_the_strength_of_least_loss_is_taken(monkeypatch):
    asked = []
    monkeypatch.setattr(
        cross_validated, "_unseen", lambda *given: asked.append(given[-1]) or numpy.full((8, 2), given[-1])
    )
    targets = numpy.eye(2, dtype=bool)[numpy.arange(8) % 2]
    cross_validated.probabilities(
        numpy.arange(16.0).reshape(8, 2), targets, numpy.arange(8), several=False, folds=2, seed=0
    )
    assert asked == [*cross_validated.STRENGTHS, max(cross_validated.STRENGTHS)]  # the likeliest here
    assert cross_validated._loss(
        numpy.full((1, 2), 0.25), numpy.array([[True, False]]), several=False
    ) == pytest.approx(-numpy.log(0.25))
    assert cross_validated._loss(numpy.full((1, 2), 0.25), numpy.array([[True, False]]), several=True) == pytest.approx(
        -numpy.log(0.25) - numpy.log(0.75)
    )


def test_of_several_labels_each_is_a_question_of_its_own():
    rng = numpy.random.default_rng(0)
    states = rng.normal(size=(200, 4))
    targets = states[:, :3] > 0
    targets[:, 2] = True  # a label that every row has
    said = cross_validated.probabilities(states, targets, numpy.arange(200), several=True, folds=5, seed=0)
    assert ((said >= 0.5) == targets).mean() > 0.95 and (said[:, 2] == 1).all()


def test_a_label_that_no_other_fold_has_is_unlikely_not_an_error():
    states, labels = numpy.random.default_rng(0).normal(size=(9, 2)), numpy.array([0, 1] * 4 + [2])
    found = cross_validated._unseen(states, labels, numpy.arange(9), 3, 3, 0, 0.1)
    assert found[8, 2] == 0 and found.sum(1) == pytest.approx(numpy.ones(9))
