"""Rows that leave no other far from a label (core-set by greedy k-centre, arXiv:1708.00489), whatever the model knows.

It asks for coverage, not for what is hard, so that rare kinds of rows are found early, and outliers too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from jishi.acquisition import _spread
from jishi.core.contracts import Acquisition, Unlabelled

CHUNK = 256  # labelled rows compared at once


@dataclass(frozen=True)
class CoreSet(Acquisition):
    """Each the row farthest from all that have a label or were taken before it; the first of all is the one nearest the mean."""

    vectors = True
    known = True

    def choose(self, rows: Unlabelled, count: int, rng: numpy.random.Generator) -> Sequence[int]:  # noqa: ARG002
        if rows.vectors is None:
            raise ValueError("rows have no vectors")
        vectors = rows.vectors.astype(float)
        squares = (vectors**2).sum(1)

        def distances(place: int) -> numpy.ndarray:
            return numpy.maximum(squares + squares[place] - 2 * vectors @ vectors[place], 0)

        if not len(vectors) or not count:
            return []
        if rows.labelled is not None and len(rows.labelled):
            return _spread.greedy(_nearest(vectors, squares, rows.labelled.astype(float)), distances, count)
        first = int(((vectors - vectors.mean(0)) ** 2).sum(1).argmin())
        return _spread.greedy(distances(first), distances, count, [first])


def _nearest(vectors: numpy.ndarray, squares: numpy.ndarray, labelled: numpy.ndarray) -> numpy.ndarray:
    """Squared distance of each row (N,) from the nearest that has a label (M, D)."""
    found = numpy.full(len(vectors), numpy.inf)
    for start in range(0, len(labelled), CHUNK):
        some = labelled[start : start + CHUNK]
        apart = squares[:, None] + (some**2).sum(1) - 2 * vectors @ some.T  # (N, CHUNK)
        found = numpy.minimum(found, numpy.maximum(apart.min(1), 0))
    return found
