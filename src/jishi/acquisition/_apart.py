"""Take the best of some rows, but none that is nearly one already taken: a second label would tell little."""

import numpy

ALIKE = 0.95  # cosine of vectors from which two rows count as nearly the same


def best(worth: numpy.ndarray, count: int, vectors: numpy.ndarray | None) -> list[int]:
    """Places of the `count` rows of most worth (N,), the first of equals first; rows alike come after all others.

    Vectors (N, D) are compared by their directions from the mean of all; without them nothing is held back.
    """
    order = numpy.argsort(-worth, kind="stable")
    if vectors is None or min(count, len(worth)) < 2:
        return order[:count].tolist()
    units = directions(vectors)
    taken: list[int] = []
    later: list[int] = []
    near = numpy.zeros(len(units), dtype=bool)
    for place in order.tolist():
        if len(taken) == count:
            break
        if near[place]:
            later.append(place)
            continue
        taken.append(place)
        near |= units @ units[place] > ALIKE
    return (taken + later)[:count]


def directions(vectors: numpy.ndarray) -> numpy.ndarray:
    """Unit vectors (N, D) from the mean; 0 where a row is the mean."""
    centred = vectors - vectors.mean(0)
    lengths = numpy.linalg.norm(centred, axis=1, keepdims=True)
    return centred / numpy.where(lengths > 0, lengths, 1)
