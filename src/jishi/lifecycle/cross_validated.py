"""How likely each label of a row is, said by a linear probe that has learnt from other rows alone."""

import warnings
from typing import Any

import numpy

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # scikit-learn's C; the one of least loss on unseen rows is taken
CHOSEN_ON = 2000  # rows: what a row weighs hardly depends on how many there are
STILL = 1e-3  # a feature that varies less than this share of the median says nothing: what it shows is rounding
LEAST = 1e-12  # of a probability in a loss


def probabilities(
    vectors: numpy.ndarray, targets: numpy.ndarray, groups: numpy.ndarray, *, several: bool, folds: int, seed: int
) -> numpy.ndarray:
    """(N, K) from vectors (N, D) and targets, false and true (N, K); rows of one group are never judged by each other.

    A row has one label, or `several`: then each is a question of its own.
    """
    spread = vectors.std(0)
    still = spread <= STILL * numpy.median(spread)
    states = (vectors - vectors.mean(0)) * numpy.where(still, 0, 1 / numpy.where(still, 1, spread))
    sample = numpy.random.default_rng(seed).permutation(len(states))[:CHOSEN_ON]
    labels = targets if several else targets.argmax(1)
    losses = []
    for strength in STRENGTHS:
        said = _unseen(states[sample], labels[sample], groups[sample], targets.shape[1], folds, seed, strength)
        losses.append(_loss(said, targets[sample], several=several))
    return _unseen(states, labels, groups, targets.shape[1], folds, seed, STRENGTHS[int(numpy.argmin(losses))])


def _unseen(
    states: numpy.ndarray,
    labels: numpy.ndarray,
    groups: numpy.ndarray,
    count: int,
    folds: int,
    seed: int,
    strength: float,
) -> numpy.ndarray:
    """(N, count), where `labels` are numbers (N,) or false and true (N, count)."""
    found = numpy.zeros((len(states), count))
    for learnt, judged in _folds(labels, groups, folds, seed):
        if labels.ndim == 1:
            found[judged] = _asked(states[learnt], labels[learnt], strength, count, states[judged])
            continue
        for label in range(count):
            yes = labels[learnt, label].astype(int)
            found[judged, label] = _asked(states[learnt], yes, strength, 2, states[judged])[:, 1]
    return found


def _folds(labels: numpy.ndarray, groups: numpy.ndarray, folds: int, seed: int) -> Any:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    kind = StratifiedGroupKFold if labels.ndim == 1 else GroupKFold
    splitter = kind(min(folds, len(numpy.unique(groups))), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label with fewer rows than folds
        return list(splitter.split(groups, labels if labels.ndim == 1 else None, groups))


def _asked(
    states: numpy.ndarray, labels: numpy.ndarray, strength: float, count: int, given: numpy.ndarray
) -> numpy.ndarray:
    """What a probe that learnt the labels (N,) says of others: (M, count), 0 for a label that it has not met."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    found = numpy.zeros((len(given), count))
    if len(numpy.unique(labels)) == 1:
        found[:, labels[0]] = 1
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough to compare labels
        probe = LogisticRegression(C=strength, max_iter=200).fit(states, labels)
    found[:, probe.classes_] = probe.predict_proba(given)
    return found


def _loss(said: numpy.ndarray, targets: numpy.ndarray, *, several: bool) -> float:
    """The mean negative log-likelihood of what was given."""
    likely = numpy.where(targets, said, 1 - said if several else 1)
    return float(-numpy.log(numpy.maximum(likely, LEAST)).sum(1).mean())
