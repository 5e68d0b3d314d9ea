"""Which part each row goes to, and which rows a sample takes: by what the rows say and a seed, nothing else.

Rows are put in an order that their content and the seed decide, so the result does not depend on a library's random
numbers. Rows with equal inputs have the same place in that order: a split made here never parts exact duplicates.
"""

from collections.abc import Sequence

import numpy


def assign(inputs: numpy.ndarray, strata: numpy.ndarray, fractions: Sequence[float], seed: int) -> numpy.ndarray:
    """The part (a place in `fractions`) of every row, (rows,) int8.

    `inputs` (rows,) uint64 are hashes of the rows' inputs, `strata` (rows,) the number of each row's label. Stratum after
    stratum, each group of duplicates goes to the part that lacks most of its share so far; the debt is carried from one
    stratum to the next, so all parts have their size to within a few rows, and so has each label. The first group of a
    stratum goes to the first part: a label is in train before it is anywhere else.
    """
    keys, first, group, sizes = numpy.unique(inputs, return_index=True, return_inverse=True, return_counts=True)
    stratum = strata[first]  # duplicates with different labels follow the first of them
    order = numpy.lexsort((_shuffled(keys, seed), stratum))
    debt = [0.0] * len(fractions)
    owners = numpy.zeros(len(keys), dtype=numpy.int8)
    before = None
    for place in order.tolist():
        size = int(sizes[place])
        debt = [owed + fraction * size for owed, fraction in zip(debt, fractions, strict=True)]
        part = 0 if stratum[place] != before else max(range(len(debt)), key=debt.__getitem__)
        debt[part] -= size
        owners[place] = part
        before = stratum[place]
    return owners[group]


def sample(inputs: numpy.ndarray, strata: numpy.ndarray, count: int, seed: int) -> numpy.ndarray:
    """The places of `count` rows (all, where there are fewer), ascending: one of each label, then a second of each, …

    Labels with few rows give all they have and the others share the rest evenly.
    """
    random = _shuffled(inputs, seed)
    order = numpy.lexsort((random, strata))
    sorted_strata = strata[order]
    starts = numpy.searchsorted(sorted_strata, sorted_strata)  # where each row's stratum begins
    rank = numpy.arange(len(order)) - starts
    taken = numpy.lexsort((random[order], rank))[:count]
    return numpy.sort(order[taken])


def _shuffled(values: numpy.ndarray, seed: int) -> numpy.ndarray:
    """A random-looking uint64 for each value and seed: the SplitMix64 finaliser (Steele, Lea & Flood 2014)."""
    offset = numpy.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    mixed = values.astype(numpy.uint64) + offset
    mixed = (mixed ^ (mixed >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> numpy.uint64(31))
