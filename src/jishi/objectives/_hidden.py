"""Which tokens of a row are hidden: single ones, those of whole words, or spans. Each choice hides the share asked for."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy

from jishi.core import words as whole
from jishi.core.contracts import Features
from jishi.models import tokens

SHORTER, LONGEST = 0.2, 10  # spans: lengths are drawn from a geometric distribution, 3.8 tokens in the mean


def words(processor: Any, text: str, pair: str | None, max_length: int | None) -> numpy.ndarray:
    """(T,) the number of the word that each token of a text, or of a pair of texts, is of; -1 for special tokens."""
    length = tokens.limit(processor, max_length)
    encoded = processor(text, pair, truncation=True, max_length=length, return_offsets_mapping=True, verbose=False)
    offsets = numpy.asarray(encoded["offset_mapping"]).reshape(-1, 2)
    sequences = numpy.asarray([-1 if number is None else number for number in encoded.sequence_ids()])
    found, before = numpy.full(len(offsets), -1, dtype=numpy.int32), 0
    for number, read in enumerate((text, pair or "")):
        starts = numpy.asarray([start for start, _ in whole.spans(read, "corpus")] or [0])
        # A token that begins with a space belongs to the word behind it: its last character tells.
        places = numpy.searchsorted(starts, numpy.maximum(offsets[:, 1] - 1, offsets[:, 0]), "right") - 1
        found = numpy.where(sequences == number, places + before, found).astype(numpy.int32)
        before += len(starts)
    return found


def _tokens(places: numpy.ndarray, _: Features, share: float, rng: numpy.random.Generator) -> numpy.ndarray:
    return rng.permutation(places)[: exact(len(places), share, rng)]


def _words(places: numpy.ndarray, features: Features, share: float, rng: numpy.random.Generator) -> numpy.ndarray:
    """Words in a random order, each that the count still has room for."""
    left, chosen = exact(len(places), share, rng), []
    groups = numpy.split(places, numpy.flatnonzero(numpy.diff(features["words"][places])) + 1)
    for place in rng.permutation(len(groups)).tolist():
        if len(groups[place]) <= left:
            chosen.append(groups[place])
            left -= len(groups[place])
        if not left:
            break
    return numpy.concatenate([places[:0], *chosen])


def _spans(places: numpy.ndarray, _: Features, share: float, rng: numpy.random.Generator) -> numpy.ndarray:
    count = exact(len(places), share, rng)
    hidden = numpy.zeros(len(places), dtype=bool)
    while (left := count - int(hidden.sum())) > 0:
        length = min(int(rng.geometric(SHORTER)), LONGEST, left)
        start = int(rng.integers(len(places) - length + 1))
        hidden[start : start + length] = True
    return places[hidden]


def exact(count: int, share: float, rng: numpy.random.Generator) -> int:
    """The share of so many tokens, exact up to the rounding, which is by chance."""
    return int(share * count + rng.random())


Choice = Callable[[numpy.ndarray, Features, float, numpy.random.Generator], numpy.ndarray]
CHOICES: Mapping[str, Choice] = {"token": _tokens, "word": _words, "span": _spans}  # places of a row → those hidden
