"""Nearly equal texts across parts: MinHash over character 5-grams with banding (Broder 1997, On the resemblance of documents).

Two texts are near duplicates where their sets of 5-grams, letter case and runs of spaces set aside, have a Jaccard
similarity of `THRESHOLD` or more. MinHash proposes pairs (at the threshold 99 of 100 are proposed), the sets decide.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy

from jishi.data import split

THRESHOLD = 0.8
GRAM = 5
BANDS, BAND_ROWS = 12, 5
MAX_CHARACTERS = 2_000  # of each text that are compared
MAX_ROWS = 50_000  # of each part that are compared
SAMPLES = 10
CANDIDATES = 4  # looked at for each row and band
CHUNK = 500  # texts hashed at once
_GOLDEN = numpy.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Texts:
    """The compared texts of a part: `rows` are their places in it, `inputs` their exact hashes."""

    rows: numpy.ndarray
    inputs: numpy.ndarray
    texts: Sequence[str]

    @cached_property
    def signatures(self) -> numpy.ndarray:
        """(rows, BANDS × BAND_ROWS) uint64."""
        found = [_signatures(self.texts[start : start + CHUNK]) for start in range(0, len(self.texts), CHUNK)]
        return numpy.concatenate(found)


def find(parts: Mapping[str, Texts]) -> dict[str, Any]:
    """Rows of the later part that nearly stand in the earlier one ("train/test"), exact duplicates aside."""
    across: dict[str, int] = {}
    samples: list[list[tuple[str, int]]] = []
    for (first, earlier), (second, later) in combinations(parts.items(), 2):
        pairs = list(_pairs(earlier, later))
        across[f"{first}/{second}"] = len(pairs)
        for there, here in pairs[: max(SAMPLES - len(samples), 0)]:
            samples.append([(first, int(earlier.rows[there])), (second, int(later.rows[here]))])
    compared = {part: len(texts.rows) for part, texts in parts.items()}
    return {"threshold": THRESHOLD, "compared": compared, "across": across, "samples": samples}


def choose(inputs: numpy.ndarray, seed: int) -> numpy.ndarray:
    """The places of the rows to compare: all, or a sample of `MAX_ROWS`."""
    return split.sample(inputs, numpy.zeros(len(inputs), dtype=numpy.int64), MAX_ROWS, seed)


def _pairs(earlier: Texts, later: Texts) -> Iterator[tuple[int, int]]:
    """For each later row with a near duplicate: the place of the nearest earlier row, and its own."""
    if not len(earlier.rows) or not len(later.rows):
        return
    best: dict[int, tuple[float, int]] = {}
    for there, here in _candidates(earlier, later):
        similarity = _jaccard(earlier.texts[there], later.texts[here])
        if similarity >= THRESHOLD and similarity > best.get(here, (0.0, 0))[0]:
            best[here] = similarity, there
    for here in sorted(best):
        yield best[here][1], here


def _candidates(earlier: Texts, later: Texts) -> list[tuple[int, int]]:
    """Pairs of places (earlier, later) that agree in a band and look alike by signature, exact duplicates left out."""
    found = []
    for band in range(BANDS):
        columns = slice(band * BAND_ROWS, (band + 1) * BAND_ROWS)
        there, here = _fold(earlier.signatures[:, columns]), _fold(later.signatures[:, columns])
        order = numpy.argsort(there, kind="stable")
        begin = numpy.searchsorted(there[order], here, "left")
        end = numpy.searchsorted(there[order], here, "right")
        for step in range(CANDIDATES):
            places = numpy.flatnonzero(begin + step < end)
            found.append(numpy.stack([order[begin[places] + step], places]))
    pairs = numpy.unique(numpy.concatenate(found, axis=1), axis=1)
    differ = earlier.inputs[pairs[0]] != later.inputs[pairs[1]]
    pairs = pairs[:, differ]
    alike = (earlier.signatures[pairs[0]] == later.signatures[pairs[1]]).mean(axis=1) >= THRESHOLD - 0.2
    return list(zip(*pairs[:, alike].tolist(), strict=True))


def _fold(signatures: numpy.ndarray) -> numpy.ndarray:
    """One uint64 for each row of a band."""
    folded = numpy.zeros(len(signatures), dtype=numpy.uint64)
    for column in signatures.T:
        folded = (folded ^ column) * _GOLDEN
    return folded


def _signatures(texts: Sequence[str]) -> numpy.ndarray:
    """The least value of each hash function over the 5-grams of each text."""
    grams, starts = _grams(texts)
    generator = numpy.random.Generator(numpy.random.PCG64(0))
    keys = generator.integers(0, 2**63, size=BANDS * BAND_ROWS, dtype=numpy.uint64)
    return numpy.stack([numpy.minimum.reduceat((grams ^ key) * _GOLDEN, starts) for key in keys], axis=1)


def _grams(texts: Sequence[str]) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Hashes of the 5-grams of all texts, one text behind the other, and where each text's begin."""
    plain = [" ".join(text[:MAX_CHARACTERS].casefold().split()).ljust(GRAM) for text in texts]
    lengths = numpy.array([len(text) for text in plain])
    codes = numpy.frombuffer("".join(plain).encode("utf-32-le"), dtype=numpy.uint32).astype(numpy.uint64)
    hashes = numpy.zeros(len(codes) - GRAM + 1, dtype=numpy.uint64)
    for offset in range(GRAM):
        hashes = (hashes + codes[offset : offset + len(hashes)]) * _GOLDEN
        hashes ^= hashes >> numpy.uint64(29)
    ends = numpy.cumsum(lengths)
    inside = numpy.ones(len(codes), dtype=bool)
    for back in range(1, GRAM):  # a gram must not run into the next text
        inside[ends - back] = False
    counts = lengths - GRAM + 1
    return hashes[inside[: len(hashes)]], numpy.concatenate([[0], numpy.cumsum(counts)[:-1]])


def _jaccard(first: str, second: str) -> float:
    one, other = (numpy.unique(_grams([text])[0]) for text in (first, second))
    common = len(numpy.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)
