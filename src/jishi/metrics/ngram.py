"""A language model that counts: what comes after the last few characters, smoothed as Kneser and Ney did (modified and
interpolated: Chen & Goodman 1999, doi:10.1006/csla.1999.0128). The plain rival of a language model, whatever its tokens are.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy

BEGIN, END, FIRST = 0, 1, 2  # numbers of the marks around a text, and of the first character
POSSIBLE = sys.maxunicode + 2  # what may come next: any character of Unicode, or the end
FALLBACK = (0.0, 0.5, 1.0, 1.5)  # discounts where too little is counted to fit them

Ints = numpy.ndarray
Floats = numpy.ndarray


@dataclass(frozen=True)
class Order:
    """The runs of n characters that were seen: their sorted `keys` and, of each, the discounted count; of each run of n - 1
    before them, how often it goes on (`total`) and the share that its continuations leave to shorter runs (`left`)."""

    keys: Ints
    counts: Floats
    total: Floats
    left: Floats

    def find(self, keys: Ints) -> Ints:
        """The number of each run; -1 where it was not seen."""
        places = numpy.searchsorted(self.keys, keys)
        places[places == len(self.keys)] = 0
        return numpy.where(self.keys[places] == keys, places, -1)


@dataclass(frozen=True)
class KneserNey:
    """Probabilities of every character of a text, and of its end, by the `order - 1` characters before it."""

    characters: Ints  # code points, sorted
    orders: tuple[Order, ...]

    @classmethod
    def fit(cls, texts: Sequence[str], order: int = 5) -> Self:
        """Count texts, which stand each alone. Memory: some 60 bytes a character and order."""
        characters = numpy.unique(numpy.concatenate([*map(_codes, texts), numpy.zeros(0, numpy.int64)]))
        symbols, depth = _symbols(texts, characters)
        size = len(characters) + FIRST
        keys, inverse = numpy.unique(symbols, return_inverse=True)
        seen = [_Seen(keys, inverse, depth >= 0, depth == 0)]
        for n in range(1, order):
            valid = depth >= n  # the run does not reach beyond the beginning of its text
            context = seen[-1].at[numpy.flatnonzero(valid) - 1]
            keys, inverse = numpy.unique(context * size + symbols[valid], return_inverse=True)
            at = numpy.full(len(symbols), -1)
            at[valid] = inverse
            seen.append(_Seen(keys, at, valid, depth == n))
        return cls(characters, tuple(_order(seen, n, size) for n in range(order)))

    def nats(self, texts: Sequence[str]) -> Floats:
        """The negative log-probability of each text with its end, in nats. A character never seen is one of all of Unicode."""
        symbols, depth = _symbols(texts, self.characters)
        size = len(self.characters) + FIRST
        chances = numpy.full(len(symbols), 1 / POSSIBLE)
        context = numpy.zeros(len(symbols), dtype=numpy.int64)  # of n = 1 there is one: nothing
        for n, order in enumerate(self.orders):
            run = numpy.where(context >= 0, order.find(numpy.maximum(context, 0) * size * (n > 0) + symbols), -1)
            known = (context >= 0) & (order.total[context] > 0)
            counted = numpy.where(run >= 0, order.counts[run], 0.0)
            mixed = counted + order.left[context] * chances * order.total[context]
            chances = numpy.where(known, mixed / numpy.maximum(order.total[context], 1), chances)
            context = numpy.concatenate([[-1], run[:-1]])
        told = depth > 0
        text = numpy.cumsum(depth == 0) - 1
        return numpy.bincount(text[told], -numpy.log(chances[told]), len(texts))


@dataclass(frozen=True)
class _Seen:
    """Runs of one length: their keys, the number of the one that ends `at` each place, and which begin a text."""

    keys: Ints
    at: Ints
    valid: numpy.ndarray
    begins: numpy.ndarray


def _codes(text: str) -> Ints:
    return numpy.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(numpy.int64)


def _symbols(texts: Sequence[str], characters: Ints) -> tuple[Ints, Ints]:
    """All texts in a row, each between its marks, as numbers; and how far each stands from the beginning of its text."""
    parts, depths = [], []
    for text in texts:
        codes = _codes(text)
        found = numpy.searchsorted(characters, codes)
        known = numpy.append(characters, -1)[found] == codes
        parts.append(numpy.concatenate([[BEGIN], numpy.where(known, found, len(characters)) + FIRST, [END]]))
        depths.append(numpy.arange(len(parts[-1])))
    return numpy.concatenate(parts), numpy.concatenate(depths)


def _order(seen: Sequence[_Seen], n: int, size: int) -> Order:
    """From what was seen, what is known of runs of n + 1 characters."""
    this, count = seen[n], len(seen[n].keys)
    raw = numpy.bincount(this.at[this.valid], minlength=count)
    counts = raw
    if n + 1 < len(seen):  # in how many ways a run is begun, not how often: what Kneser and Ney saw
        longer = seen[n + 1]
        places = numpy.zeros(len(longer.keys), dtype=numpy.int64)
        places[longer.at[longer.valid]] = numpy.flatnonzero(longer.valid)  # one place of each longer run
        counts = numpy.bincount(this.at[places], minlength=count)
        fixed = this.at[this.begins & this.valid]
        counts[fixed] = raw[fixed]  # nothing stands before a beginning
    context = this.keys // size if n else numpy.zeros(count, dtype=numpy.int64)
    if not n:
        counts[this.keys == BEGIN] = 0  # it is never foreseen
    contexts = len(seen[n - 1].keys) if n else 1
    discount = _discounts(counts)[numpy.minimum(counts, 3)]
    total = numpy.bincount(context, counts, contexts)
    left = numpy.bincount(context, discount, contexts) / numpy.maximum(total, 1)
    return Order(this.keys, numpy.maximum(counts - discount, 0), total, left)


def _discounts(counts: Ints) -> Floats:
    """What is taken from runs counted 0, 1, 2, and 3 times or more: fitted to how many there are of each (equation 26)."""
    once, twice, thrice, four = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (once and twice and thrice and four):
        return numpy.asarray(FALLBACK)
    share = once / (once + 2 * twice)
    fitted = [0.0, 1 - 2 * share * twice / once, 2 - 3 * share * thrice / twice, 3 - 4 * share * four / thrice]
    return numpy.asarray(fitted if all(0 <= one <= times for times, one in enumerate(fitted)) else FALLBACK)
