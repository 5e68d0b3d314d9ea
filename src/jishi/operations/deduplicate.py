"""Each text once."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy
from pydantic import Field

from jishi.core.contracts import Operation, Treated, option
from jishi.data import minhash

CANDIDATES = 4  # earlier texts looked at for each text and band


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
        """For each text the reason it is dropped for, or none."""
        found = numpy.concatenate(surveys)
        digests = numpy.ascontiguousarray(found[:, :2]).view("<u8").ravel()
        _, firsts, owners = numpy.unique(digests, return_index=True, return_inverse=True)
        reasons: list[str | None] = [None] * count
        for place in numpy.flatnonzero(firsts[owners] < numpy.arange(count)).tolist():
            reasons[place] = "equal"
        if self.threshold < 1:
            for earlier, later in self._pairs(found[:, 2:]):
                if reasons[earlier] is None and reasons[later] is None:
                    reasons[later] = "nearly-equal"
        return reasons

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        return Treated([], {known: 1}) if known else None

    def _pairs(self, signatures: numpy.ndarray) -> Iterator[tuple[int, int]]:
        """Pairs (earlier, later) that are alike enough, by the later one: what was dropped then drops nothing itself."""
        count = len(signatures)
        pairs = numpy.unique(numpy.concatenate([_band(band) for band in minhash.bands(signatures)]))
        earlier, later = pairs % count, pairs // count
        alike = numpy.concatenate(
            [
                minhash.similarity(signatures[earlier[at : at + 10_000]], signatures[later[at : at + 10_000]])
                for at in range(0, len(pairs), 10_000)
            ]
            or [numpy.zeros(0)]
        )
        chosen = alike >= self.threshold
        yield from zip(earlier[chosen].tolist(), later[chosen].tolist(), strict=True)


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
