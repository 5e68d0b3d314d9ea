"""How unsure an answer is, for one label a row and for several."""

import numpy

from jishi.core.contracts import Unlabelled


def entropy(probabilities: numpy.ndarray, several: bool) -> numpy.ndarray:
    """Of answers (…, K) in nats, (…): of one question, or of K questions of yes and no together."""
    found = _surprise(probabilities)
    if several:
        found = found + _surprise(1 - probabilities)
    return found.sum(-1)


def lead(rows: Unlabelled) -> numpy.ndarray:
    """How far the likeliest label is ahead of the next, (N,); of several labels, yes of no, where it is least."""
    if rows.several:
        return numpy.abs(2 * rows.probabilities - 1).min(-1)
    best = numpy.partition(rows.probabilities, -2, axis=-1)[:, -2:]  # (N, 2), the smaller one first
    return best[:, 1] - best[:, 0]


def _surprise(probabilities: numpy.ndarray) -> numpy.ndarray:
    """-p log p, 0 where p is 0."""
    return -probabilities * numpy.log(numpy.where(probabilities > 0, probabilities, 1))
