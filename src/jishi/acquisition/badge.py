"""Rows that would move the head far, each in a direction of its own (BADGE, arXiv:1906.03671): unsure, and unlike each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from jishi.acquisition import _spread
from jishi.core.contracts import Acquisition, Unlabelled


@dataclass(frozen=True)
class BADGE(Acquisition):
    """k-means++ on the gradients that the last layer would have if the model's own answer were the label."""

    vectors = True

    def choose(self, rows: Unlabelled, count: int, rng: numpy.random.Generator) -> Sequence[int]:
        errors, states = _factors(rows)
        lengths = (errors**2).sum(1) * (states**2).sum(1)

        def distances(place: int) -> numpy.ndarray:
            """Of gradients error ⊗ state, whose inner product is that of the errors times that of the states: none of their
            K·D numbers is written down."""
            inner = (errors @ errors[place]) * (states @ states[place])
            return numpy.maximum(lengths + lengths[place] - 2 * inner, 0)

        return _spread.seeded(int(lengths.argmax()), distances, count, rng) if len(lengths) else []


def _factors(rows: Unlabelled) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Probabilities less the answer as 0 and 1 (N, K), and the head's input with the 1 of its bias (N, D + 1)."""
    if rows.vectors is None:
        raise ValueError("rows have no vectors")
    probabilities = rows.probabilities
    likeliest = numpy.eye(probabilities.shape[1])[probabilities.argmax(1)]
    answers = probabilities >= 0.5 if rows.several else likeliest
    return probabilities - answers, numpy.hstack([rows.vectors, numpy.ones((len(probabilities), 1))])
