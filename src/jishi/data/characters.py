"""How well the characters of a text are foreseen from those before them: a model of n-grams, fast enough for a whole corpus.

Interpolated absolute discounting (Ney, Essen & Kneser 1994): a gram has the share of its count, less a discount, in what follows
its context, and what the grams of a context leave over goes to those that are one shorter. All lie in one table by their hashes;
where two meet, the commoner stays, so that the table keeps its size and loses the rarest.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy

ORDER = 5  # characters of the longest gram
PLACES = 22  # bits of a place: 4.2 million grams of 8 bytes
LEARNT = 6_000_000  # characters learnt from; the table would not hold the grams of more
TWICE = 2  # grams longer than a character are kept where they are seen so often
DISCOUNT = 0.75
CHARACTERS = 150_000  # share what single characters leave over
CHUNK = 2**15  # characters looked up at once: more would not stay in the cache of a core
FINE = 1024  # bits are summed in such parts of one, so that a text has as many in whatever company it is read
_GOLDEN, _MIX = numpy.uint64(0x9E3779B97F4A7C15), numpy.uint64(0xD6E8FEB86659FD93)
_HALF, _WORD = numpy.uint64(16), numpy.uint64(32)


@dataclass(frozen=True)
class CharacterModel:
    """`table` (2^PLACES,) uint64: 32 bits of a gram's hash, then the upper halves of two fp32 numbers, its share of what follows
    its context and what the grams that it is the context of leave over. `rest` is what single characters leave over."""

    table: numpy.ndarray
    rest: float

    @classmethod
    def fit(cls, texts: Iterable[str]) -> Self:
        """The model of texts; where they are many, of every second, fourth, … one."""
        codes = _codes("\n".join(_some(texts)))
        hashes = list(_grams(codes))
        levels = [_counted(found[place:], TWICE if place else 1) for place, found in enumerate(hashes)]
        grams, counts = (numpy.concatenate([level[part] for level in levels]) for part in (0, 2))
        table = numpy.zeros(2**PLACES, dtype=numpy.uint64)
        places, keys = _places(grams[numpy.argsort(counts, kind="stable")])
        table[places] = keys << _WORD  # of those that meet the last one stays, the commonest
        kept = [_held(table, level[0]) for level in levels]
        shares = [(levels[0][2] - DISCOUNT) / max(len(codes), 1)]
        left = [numpy.ones(len(level[0])) for level in levels]
        for length in range(1, ORDER):
            (contexts, _, whole), (_, firsts, found) = levels[length - 1 : length + 1]
            owners = numpy.searchsorted(contexts, hashes[length - 1][length - 1 :][firsts])
            shares.append((found - DISCOUNT) / whole[owners])
            kept[length] &= kept[length - 1][owners]
            here = kept[length]
            left[length - 1] -= numpy.bincount(owners[here], shares[length][here], minlength=len(contexts))
        table[:] = 0
        for (found, _, _), here, share, over in zip(levels, kept, shares, left, strict=True):
            places, keys = _places(found[here])
            table[places] = keys << _WORD | _upper(share[here]) << _HALF | _upper(over[here])
        return cls(table, float(1 - shares[0][kept[0]].sum()))

    def bits(self, texts: Sequence[str]) -> numpy.ndarray:
        """The bits that the characters of each text take, (texts,)."""
        found, start, size = [numpy.zeros(0)], 0, 0
        for end, text in enumerate(texts, 1):
            size += len(text)
            if size >= CHUNK or end == len(texts):
                found.append(self._bits(texts[start:end]))
                start, size = end, 0
        return numpy.concatenate(found)

    def _bits(self, texts: Sequence[str]) -> numpy.ndarray:
        lengths = numpy.array([len(text) for text in texts])
        ends = numpy.cumsum(lengths)
        codes = _codes("".join(texts))
        before = numpy.arange(len(codes)) - numpy.repeat(ends - lengths, lengths)  # characters before each in its text
        chances = numpy.full(len(codes), 1 / CHARACTERS, dtype=numpy.float32)
        over = numpy.full(len(codes), self.rest, dtype=numpy.float32)
        for length, hashes in enumerate(_grams(codes)):
            places, keys = _places(hashes)
            rows = self.table[places]
            known = (rows >> _WORD == keys) & (before >= length)  # then its context is known too
            chances = numpy.where(known, _number(rows >> _HALF), 0) + over * chances
            over[1:] = numpy.where(known, _number(rows), 1)[:-1]
            over[before <= length] = 1
        fine = numpy.rint(numpy.log2(chances) * -FINE).astype(numpy.int64)
        sums = numpy.concatenate([numpy.zeros(1, dtype=numpy.int64), numpy.cumsum(fine)])
        return numpy.asarray((sums[ends] - sums[ends - lengths]) / FINE)


def _some(texts: Iterable[str]) -> list[str]:
    """All texts, or of more than LEARNT characters those at even distances."""
    found: list[str] = []
    size, step = 0, 1
    for number, text in enumerate(texts):
        if number % step:
            continue
        found.append(text[:LEARNT])
        size += len(text)
        while size > LEARNT and len(found) > 1:
            found, step = found[::2], 2 * step
            size = sum(map(len, found))
    return found


def _codes(text: str) -> numpy.ndarray:
    return numpy.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=numpy.uint32).astype(numpy.uint64)


def _grams(codes: numpy.ndarray) -> Iterator[numpy.ndarray]:
    """The hashes of the grams of 1, 2, … ORDER characters that end at each place; the first ones are of fewer."""
    own = hashes = codes + numpy.uint64(1)
    for length in range(ORDER):
        if length:
            longer = own.copy()
            longer[1:] += hashes[:-1] * _GOLDEN
            hashes = longer
        yield hashes


def _counted(hashes: numpy.ndarray, least: int) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Those that stand there so often, ascending, where each stands first, and how often."""
    found, firsts, counts = numpy.unique(hashes, return_index=True, return_counts=True)
    kept = counts >= least
    return found[kept], firsts[kept], counts[kept]


def _places(hashes: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Where each would lie, and what it is known by there, which is never 0."""
    mixed = (hashes ^ (hashes >> numpy.uint64(29))) * _MIX
    return (mixed >> numpy.uint64(64 - PLACES)).astype(numpy.int64), (mixed & numpy.uint64(0xFFFFFFFF)) | numpy.uint64(
        1
    )


def _held(table: numpy.ndarray, hashes: numpy.ndarray) -> numpy.ndarray:
    places, keys = _places(hashes)
    return numpy.asarray(table[places] >> _WORD == keys)


def _upper(numbers: numpy.ndarray) -> numpy.ndarray:
    """The upper half of fp32 numbers, of 0 or more."""
    return (numbers.astype(numpy.float32).view(numpy.uint32) >> numpy.uint32(16)).astype(numpy.uint64)


def _number(rows: numpy.ndarray) -> numpy.ndarray:
    """The number whose upper half stands in the lowest 16 bits."""
    return (rows.astype(numpy.uint32) << numpy.uint32(16)).view(numpy.float32)
