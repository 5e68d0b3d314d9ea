"""Nearly equal texts across parts, by their signatures (`minhash`) and then by what they hold.

Two texts are near duplicates where their sets of 5-grams, letter case and runs of spaces set aside, have a Jaccard
similarity of `THRESHOLD` or more. Signatures propose pairs (at the threshold 99 of 100 are proposed), the sets decide.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy

from jishi.data import minhash, split

THRESHOLD = 0.8
MAX_CHARACTERS = 2_000  # of each text that are compared
MAX_ROWS = 50_000  # of each part that are compared
SAMPLES = 10
CANDIDATES = 4  # looked at for each row and band
CHUNK = 500  # texts hashed at once


@dataclass(frozen=True)
class Texts:
    """The compared texts of a part: `rows` are their places in it, `inputs` their exact hashes."""

    rows: numpy.ndarray
    inputs: numpy.ndarray
    texts: Sequence[str]

    @cached_property
    def signatures(self) -> numpy.ndarray:
        """(rows, bins) uint32."""
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
    for number in range(minhash.BANDS):
        there, here = (minhash.band(texts.signatures, number) for texts in (earlier, later))
        order = numpy.argsort(there, kind="stable")
        begin = numpy.searchsorted(there[order], here, "left")
        end = numpy.searchsorted(there[order], here, "right")
        for step in range(CANDIDATES):
            places = numpy.flatnonzero(begin + step < end)
            found.append(numpy.stack([order[begin[places] + step], places]))
    pairs = numpy.unique(numpy.concatenate(found, axis=1), axis=1)
    differ = earlier.inputs[pairs[0]] != later.inputs[pairs[1]]
    pairs = pairs[:, differ]
    alike = minhash.similarity(earlier.signatures[pairs[0]], later.signatures[pairs[1]]) >= THRESHOLD - 0.2
    return list(zip(*pairs[:, alike].tolist(), strict=True))


def _signatures(texts: Sequence[str]) -> numpy.ndarray:
    return minhash.signatures([text[:MAX_CHARACTERS] for text in texts])


def _jaccard(first: str, second: str) -> float:
    one, other = (numpy.unique(minhash.grams([text[:MAX_CHARACTERS]])[0]) for text in (first, second))
    common = len(numpy.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)
