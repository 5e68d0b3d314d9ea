"""What a search comes to: places of passages with their scores, the best first; and how several become one."""

from collections import defaultdict
from collections.abc import Sequence

import numpy

Found = list[tuple[int, float]]

SMOOTH = 60  # how little the very first places count more than the next (Cormack et al. 2009)


def best(scores: numpy.ndarray, k: int) -> Found:
    """The k greatest of scores (N,); of equal ones the first comes first."""
    k = min(k, len(scores))
    if not k:
        return []
    least = numpy.partition(scores, len(scores) - k)[len(scores) - k]
    places = numpy.flatnonzero(scores >= least)
    order = places[numpy.argsort(-scores[places], kind="stable")][:k]
    return [(int(place), float(scores[place])) for place in order]


def fuse(rankings: Sequence[Found], k: int) -> Found:
    """Several searches for one query as one: each passage has the sum of 1 / (60 + its place) (reciprocal rank fusion)."""
    scores: dict[int, float] = defaultdict(float)
    for found in rankings:
        for rank, (place, _) in enumerate(found, 1):
            scores[place] += 1 / (SMOOTH + rank)
    return sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))[:k]
