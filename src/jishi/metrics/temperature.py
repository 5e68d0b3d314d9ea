"""Temperature scaling: one number makes confidences honest and changes no answer (Guo 2017, arXiv:1706.04599)."""

from collections.abc import Callable

import numpy

BOUNDS = (0.2, 10.0)  # a held-out set that is all right would ask for 0, which is certainty without grounds


def fit(logits: numpy.ndarray, targets: numpy.ndarray) -> float:
    """The temperature of least negative log-likelihood: logits (N, K), targets (N,) class indices; 1 for no rows."""
    rows = numpy.arange(len(logits))

    def loss(beta: float) -> float:
        scaled = beta * logits
        return float(numpy.mean(log_sum_exp(scaled) - scaled[rows, targets]))

    return 1 / _least(loss) if len(logits) else 1.0


def fit_binary(logits: numpy.ndarray, targets: numpy.ndarray) -> float:
    """The same for independent yes-or-no logits (N, K) and targets (N, K) of 0 and 1."""
    return (
        1 / _least(lambda beta: float(numpy.mean(numpy.logaddexp(0, beta * logits) - beta * logits * targets)))
        if logits.size
        else 1.0
    )


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
    """The inverse temperature of least loss, which is convex in it: golden-section search within the bounds."""
    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]
    golden = (5**0.5 - 1) / 2
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return (low + high) / 2
