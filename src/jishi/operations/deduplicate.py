"""Each text once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy
from pydantic import Field

from jishi.core.contracts import Operation, Treated, option
from jishi.data import minhash

CANDIDATES = 4  # earlier texts looked at for each text and band
COMPARED = 10_000  # pairs held against each other at once


@dataclass(frozen=True)
class Deduplicate(Operation):
    """Drops a text that an earlier one equals, or nearly equals (MinHash over character 5-grams with banding, Broder 1997)."""

    surveys = True

    threshold: Annotated[float, Field(ge=0.5, le=1)] = option(
        0.8,
        "The Jaccard similarity of their 5-grams from which texts are near duplicates, as signatures estimate it; 1: equal ones.",
        "判为近似重复的 5-gram Jaccard 相似度（由签名估计）；1 表示只去除完全相同的文本。",
    )

    def survey(self, texts: Sequence[str]) -> numpy.ndarray:
        """(texts, 2) uint32 of the digest, and (texts, BINS) of the signature where near duplicates are looked for."""
        digests = b"".join(
            hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts
        )
        exact = numpy.frombuffer(digests, dtype="<u4").reshape(-1, 2)
        return exact if self.threshold == 1 else numpy.concatenate([exact, minhash.signatures(texts)], axis=1)

    def settle(self, surveys: Sequence[numpy.ndarray], count: int) -> Sequence[Any]:
        """For each text the reason it is dropped for, or none. Takes some 40 bytes a text; surveys are read where they lie."""
        digests = numpy.concatenate([numpy.ascontiguousarray(part[:, :2]).view("<u8").ravel() for part in surveys])
        _, firsts, owners = numpy.unique(digests, return_index=True, return_inverse=True)
        reasons: list[str | None] = [None] * count
        for place in numpy.flatnonzero(firsts[owners] < numpy.arange(count)).tolist():
            reasons[place] = "equal"
        if self.threshold < 1:
            for pair in self._pairs([part[:, 2:] for part in surveys], count).tolist():
                later, earlier = divmod(pair, count)
                if reasons[earlier] is None and reasons[later] is None:
                    reasons[later] = "nearly-equal"
        return reasons

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        return Treated([], {known: 1}) if known else None

    def _pairs(self, signatures: Sequence[numpy.ndarray], count: int) -> numpy.ndarray:
        """Pairs that are alike enough, as later × count + earlier, ascending: what was dropped then drops nothing itself."""
        alike = numpy.zeros(0, dtype=numpy.int64)
        for number in range(minhash.BANDS):
            folded = numpy.concatenate([minhash.band(part, number) for part in signatures])
            pairs = numpy.setdiff1d(_band(folded), alike)
            for start in range(0, len(pairs), COMPARED):
                some = pairs[start : start + COMPARED]
                earlier, later = (_rows(signatures, places) for places in (some % count, some // count))
                alike = numpy.union1d(alike, some[minhash.similarity(earlier, later) >= self.threshold])
        return alike


def _rows(parts: Sequence[numpy.ndarray], places: numpy.ndarray) -> numpy.ndarray:
    """Rows of several parts that follow each other."""
    ends = numpy.cumsum([len(part) for part in parts])
    found = numpy.empty((len(places), parts[0].shape[1]), dtype=parts[0].dtype)
    owners = numpy.searchsorted(ends, places, "right")
    for owner in numpy.unique(owners):
        chosen = owners == owner
        found[chosen] = parts[owner][places[chosen] - (ends[owner] - len(parts[owner]))]
    return found


def _band(folded: numpy.ndarray) -> numpy.ndarray:
    """Texts that agree in a band, as later × count + earlier: each with the first of its kind and those just before it."""
    count = len(folded)
    order = numpy.argsort(folded, kind="stable")
    ordered = folded[order]
    begin = numpy.searchsorted(ordered, ordered, "left")
    place = numpy.arange(count)
    found = [numpy.stack([order[begin], order])[:, begin < place]]
    for back in range(1, CANDIDATES):
        here = place[place - back > begin]
        found.append(numpy.stack([order[here - back], order[here]]))
    earlier, later = numpy.concatenate(found, axis=1).astype(numpy.int64)
    return later * count + earlier
