import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from jishi.metrics.transferability import logme


def greatest(states, column):
    """The log evidence a row, maximised over both precisions by a general optimiser on the density itself."""

    def negative(logs):
        weights, noise = np.exp(logs)
        covariance = np.eye(len(states)) / noise + states @ states.T / weights
        return -multivariate_normal.logpdf(column, cov=covariance) / len(states)

    return -min(minimize(negative, start, method="Nelder-Mead").fun for start in ([0, 0], [3, 1], [-2, 2]))


@pytest.mark.parametrize("shape", [(40, 5), (12, 20)])
def test_logme_is_the_greatest_evidence(shape):
    rng = np.random.default_rng(0)
    states = rng.normal(size=shape)
    numbers = states @ rng.normal(size=shape[1]) + rng.normal(size=shape[0])
    assert logme(states, numbers) == pytest.approx(greatest(states, numbers), abs=2e-3)


def test_classes_are_columns_of_noughts_and_ones():
    rng = np.random.default_rng(1)
    states, labels = rng.normal(size=(30, 4)), rng.integers(0, 3, 30) * 5
    expected = np.mean([greatest(states, (labels == one).astype(float)) for one in (0, 5, 10)])
    assert logme(states, labels) == pytest.approx(expected, abs=2e-3)


def test_states_that_tell_the_classes_have_more():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 200)
    noise = rng.normal(size=(200, 8))
    assert logme(noise + 3 * labels[:, None], labels) > logme(noise, labels) + 0.1
