"""How far rows lie from those already taken, as one after another is taken."""

from collections.abc import Callable, Sequence

import numpy

Distances = Callable[[int], numpy.ndarray]  # place → squared distances (N,) of all rows from it


def greedy(nearest: numpy.ndarray, distances: Distances, count: int, first: Sequence[int] = ()) -> list[int]:
    """Places of rows, behind the `first` ones each the farthest from all before it; `nearest` (N,) are squared distances from
    what was there before."""
    nearest, taken = nearest.copy(), list(first)
    while len(taken) < min(count, len(nearest)):
        nearest[taken] = -1  # a copy of one taken is at 0
        taken.append(int(nearest.argmax()))
        nearest = numpy.minimum(nearest, distances(taken[-1]))
    return taken


def seeded(first: int, distances: Distances, count: int, rng: numpy.random.Generator) -> list[int]:
    """Places of rows drawn one after another, each the likelier the farther it is from those before it (k-means++,
    Arthur and Vassilvitskii 2007); where all that is left are copies, any of them."""
    taken = [first]
    nearest = distances(first)
    while len(taken) < min(count, len(nearest)):
        nearest[taken] = 0
        total = nearest.sum()
        left = numpy.setdiff1d(numpy.arange(len(nearest)), taken)
        taken.append(int(rng.choice(len(nearest), p=nearest / total) if total > 0 else rng.choice(left)))
        nearest = numpy.minimum(nearest, distances(taken[-1]))
    return taken[:count]
