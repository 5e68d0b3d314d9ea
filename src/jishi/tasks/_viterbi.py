"""The likeliest BIO tags of a row that make sense together: an entity is never continued before it has begun."""

from functools import cache

import numpy


def best(logits: numpy.ndarray) -> numpy.ndarray:
    """Tag indices (T,) for logits (T, 2n + 1), whose columns are O, B-1, I-1, B-2, I-2, … (Viterbi's algorithm)."""
    likely = logits.argmax(axis=1)
    allowed = _allowed(logits.shape[1])
    if allowed[numpy.concatenate([[0], likely[:-1]]), likely].all():  # the common case needs no search
        return likely
    barred = numpy.where(allowed, 0.0, -numpy.inf)
    score = logits[0] + barred[0]  # a row begins as after O
    back = numpy.zeros(logits.shape, dtype=int)
    for place in range(1, len(logits)):
        paths = score[:, None] + barred
        back[place] = paths.argmax(axis=0)
        score = paths.max(axis=0) + logits[place]
    tags = [int(score.argmax())]
    for place in range(len(logits) - 1, 0, -1):
        tags.append(int(back[place, tags[-1]]))
    return numpy.asarray(tags[::-1])


@cache
def _allowed(count: int) -> numpy.ndarray:
    """(K, K) whether the second tag may follow the first: I-x only after B-x and I-x."""
    allowed = numpy.ones((count, count), dtype=bool)
    for inside in range(2, count, 2):
        allowed[:, inside] = False
        allowed[[inside - 1, inside], inside] = True
    return allowed
