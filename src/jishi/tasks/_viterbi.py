"""The likeliest BIO tags of a row that make sense together: an entity is never continued before it has begun.

Tags are O, B-1, I-1, B-2, I-2, …; transitions (K + 1, K) say how much likelier a tag is after another, in the last row after
the beginning. Where a model has learnt them (`_crf`), they count beside its logits.
"""

from functools import cache

import numpy

BARRED = -1e4  # the score of what makes no sense


@cache
def barred(count: int) -> numpy.ndarray:
    """Transitions (K + 1, K) that forbid and nothing else: I-x only after B-x and I-x, and never first."""
    scores = numpy.zeros((count + 1, count))
    for inside in range(2, count, 2):
        scores[:, inside] = BARRED
        scores[[inside - 1, inside], inside] = 0.0
    return scores


def best(logits: numpy.ndarray, learnt: numpy.ndarray | None = None) -> numpy.ndarray:
    """Tag indices (T,) for logits (T, K) (Viterbi's algorithm)."""
    scores = barred(logits.shape[1])
    if learnt is None:
        likely = logits.argmax(axis=1)
        if not scores[numpy.concatenate([[-1], likely[:-1]]), likely].any():  # the common case needs no search
            return likely
    else:
        scores = scores + learnt
    score = logits[0] + scores[-1]
    back = numpy.zeros(logits.shape, dtype=int)
    for place in range(1, len(logits)):
        paths = score[:, None] + scores[:-1]
        back[place] = paths.argmax(axis=0)
        score = paths.max(axis=0) + logits[place]
    tags = [int(score.argmax())]
    for place in range(len(logits) - 1, 0, -1):
        tags.append(int(back[place, tags[-1]]))
    return numpy.asarray(tags[::-1])


def marginals(logits: numpy.ndarray, learnt: numpy.ndarray) -> numpy.ndarray:
    """The probability (T, K) of each tag at each place, over all sequences (the forward-backward algorithm)."""
    scores = barred(logits.shape[1]) + learnt
    ahead, behind = numpy.zeros(logits.shape), numpy.zeros(logits.shape)
    ahead[0] = logits[0] + scores[-1]
    for place in range(1, len(logits)):
        ahead[place] = logits[place] + numpy.logaddexp.reduce(ahead[place - 1][:, None] + scores[:-1], axis=0)
        back = len(logits) - 1 - place
        behind[back] = numpy.logaddexp.reduce(scores[:-1] + logits[back + 1] + behind[back + 1], axis=1)
    paths = ahead + behind
    return numpy.minimum(numpy.exp(paths - numpy.logaddexp.reduce(paths, axis=1, keepdims=True)), 1.0)
