"""Temperature scaling: one number makes confidences honest and changes no answer (Guo 2017, arXiv:1706.04599)."""

import math
from collections.abc import Callable

import numpy

BOUNDS = (0.2, 10.0)  # a held-out set that is all right would ask for 0, which is certainty without grounds
# A few rows that happen to be all right are no ground for certainty either: the logarithm of the temperature has a normal
# prior around 0 with this deviation, which some dozens of rows outweigh.
DEVIATION = 0.5


def fit(logits: numpy.ndarray, targets: numpy.ndarray) -> float:
    """The likeliest temperature given the prior: logits (N, K), targets (N,) class indices; 1 for no rows."""
    rows = numpy.arange(len(logits))

    def loss(beta: float) -> float:
        scaled = beta * logits
        return float(numpy.sum(log_sum_exp(scaled) - scaled[rows, targets]))

    return 1 / _least(loss)


def fit_shares(logits: numpy.ndarray, chosen: numpy.ndarray, shares: numpy.ndarray) -> float:
    """The temperature at which the probability of the one `chosen` (N,) among logits (N, K) is how right it is, `shares` (N,)."""
    rows = numpy.arange(len(logits))

    def loss(beta: float) -> float:
        scaled = beta * logits
        others = scaled.copy()
        others[rows, chosen] = -numpy.inf
        odds = scaled[rows, chosen] - log_sum_exp(others)
        return float(numpy.sum(numpy.logaddexp(0, odds) - shares * odds))

    return 1 / _least(loss)


def fit_binary(logits: numpy.ndarray, targets: numpy.ndarray) -> float:
    """The same for independent yes-or-no logits (N, K) and targets (N, K) of 0 and 1."""
    return 1 / _least(lambda beta: float(numpy.sum(numpy.logaddexp(0, beta * logits) - beta * logits * targets)))


def softmax(logits: numpy.ndarray) -> numpy.ndarray:
    """Probabilities over the last axis."""
    return numpy.exp(logits - log_sum_exp(logits)[..., None])


def sigmoid(logits: numpy.ndarray) -> numpy.ndarray:
    """Probabilities of independent labels."""
    return numpy.exp(-numpy.logaddexp(0, -logits))


def log_sum_exp(logits: numpy.ndarray) -> numpy.ndarray:
    """log Σ exp over the last axis, without overflow."""
    top = logits.max(axis=-1)
    return top + numpy.log(numpy.exp(logits - top[..., None]).sum(axis=-1))


def _least(loss: Callable[[float], float]) -> float:
    """The inverse temperature of least loss and prior together: golden-section search of its logarithm within the bounds."""

    def cost(log_beta: float) -> float:
        return loss(math.exp(log_beta)) + log_beta**2 / (2 * DEVIATION**2)

    low, high = -math.log(BOUNDS[1]), -math.log(BOUNDS[0])
    golden = (5**0.5 - 1) / 2
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if cost(left) <= cost(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)
