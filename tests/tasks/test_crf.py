"""The chain of tags against the enumeration of all of its paths."""

from itertools import pairwise, product

import numpy
import pytest
import torch

from jishi.models.tokens import IGNORED
from jishi.tasks._crf import log_likelihood
from jishi.tasks._viterbi import best, marginals

K, LENGTH = 5, 4


def sensible(path):
    """O, B-1, I-1, B-2, I-2: what continues must continue something."""
    return all(tag in (0, 1, 3) or before in (tag - 1, tag) for before, tag in zip((0, *path), path, strict=False))


PATHS = [path for path in product(range(K), repeat=LENGTH) if sensible(path)]


def drawn(seed):
    rng = numpy.random.default_rng(seed)
    return rng.normal(0, 2, (LENGTH, K)), rng.normal(0, 2, (K + 1, K))


def value(path, logits, transitions):
    moves = transitions[-1, path[0]] + sum(transitions[a, b] for a, b in pairwise(path))
    return logits[range(len(path)), path].sum() + moves


@pytest.mark.parametrize("seed", range(5))
def test_likelihood_marginals_and_best_path_are_those_of_all_paths(seed):
    logits, transitions = drawn(seed)
    values = numpy.array([value(path, logits, transitions) for path in PATHS])
    shares = numpy.exp(values - numpy.logaddexp.reduce(values))
    given = (torch.tensor(logits), torch.tensor(transitions))
    found = log_likelihood(given[0].expand(len(PATHS), -1, -1), torch.tensor(PATHS), given[1])
    numpy.testing.assert_allclose(found.exp(), shares, rtol=1e-6, atol=1e-12)
    assert best(logits, transitions).tolist() == list(PATHS[values.argmax()])
    by_hand = [[shares[[path[t] == k for path in PATHS]].sum() for k in range(K)] for t in range(LENGTH)]
    numpy.testing.assert_allclose(marginals(logits, transitions), by_hand, rtol=1e-6, atol=1e-12)


def test_places_that_do_not_count_are_no_part_of_the_sequence():
    logits, transitions = (torch.tensor(given) for given in drawn(9))
    spread = torch.randn(2, 9, K, dtype=logits.dtype)
    targets = torch.full((2, 9), IGNORED)
    places = [1, 2, 5, 8]
    spread[0, places], targets[0, places] = logits, torch.tensor([0, 1, 2, 0])
    alone = log_likelihood(logits[None], torch.tensor([[0, 1, 2, 0]]), transitions)
    assert log_likelihood(spread, targets, transitions).tolist() == pytest.approx([float(alone), 0.0])


def test_gradients_are_finite_though_paths_are_barred():
    logits, transitions = (torch.tensor(given, requires_grad=True) for given in drawn(3))
    (-log_likelihood(logits[None], torch.tensor([[0, 1, 2, 0]]), transitions).sum()).backward()
    assert torch.isfinite(logits.grad).all() and torch.isfinite(transitions.grad).all()
    assert transitions.grad[-1].abs().sum() > 0 and transitions.grad[1, 2] != 0
