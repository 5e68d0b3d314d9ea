"""Word-for-word translation by a table that is counted, not trained: the classical rival."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy

from jishi.core.contracts import Prediction, Row
from jishi.core.script import spaceless, units

ROUNDS = 5
PAIRS = 4_000_000  # of words that are looked at; more would take minutes
LEAST = 0.1  # a word whose best translation is less likely is left out


@dataclass(frozen=True)
class WordTable:
    """Each word (character, where words have no spaces) becomes the one it most likely stands for, in the same order."""

    column: str
    known: Mapping[str, str]
    joiner: str
    name: str = "word table"

    @classmethod
    def of(cls, rows: Sequence[Row], column: str, target: str) -> "WordTable":
        pairs = [(words(row[column]), words(row[target])) for row in rows]
        joiner = "" if spaceless("".join(word for _, wanted in pairs[:1000] for word in wanted)) else " "
        return cls(column, _table(pairs), joiner)

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        return [{"text": self._text(row[self.column])} for row in rows]

    def _text(self, text: str) -> str:
        return self.joiner.join(found for word in words(text) if (found := self.known.get(word, "")))


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in units(text)]


def _table(pairs: Sequence[tuple[list[str], list[str]]]) -> dict[str, str]:
    """The likeliest word for each word, by IBM model 1 (J93-2003) without a word for nothing."""
    left, right = (
        {word: number for number, word in enumerate(dict.fromkeys(word for pair in pairs for word in pair[side]))}
        for side in (0, 1)
    )
    cells: list[numpy.ndarray] = []
    places: list[numpy.ndarray] = []  # the word to be explained that a cell belongs to
    size = explained = 0
    for given, wanted in pairs:
        ids = numpy.array([right[word] for word in wanted], dtype=numpy.int64)
        said = numpy.array([left[word] for word in given], dtype=numpy.int64)
        cells.append((said[None] * len(right) + ids[:, None]).ravel())
        places.append(numpy.repeat(numpy.arange(explained, explained + len(ids)), len(said)))
        explained, size = explained + len(ids), size + len(ids) * len(said)
        if size > PAIRS:
            break
    keys, cell = numpy.unique(numpy.concatenate(cells), return_inverse=True)
    place, source = numpy.concatenate(places), keys // len(right)
    chance = numpy.ones(len(keys))
    for _ in range(ROUNDS):
        weight = chance[cell]
        weight /= numpy.bincount(place, weight)[place]
        count = numpy.bincount(cell, weight, len(keys))
        chance = count / numpy.bincount(source, count)[source]
    names = (list(left), list(right))
    best: dict[str, str] = {}
    for key in numpy.argsort(chance, kind="stable")[numpy.searchsorted(numpy.sort(chance), LEAST) :]:
        best[names[0][source[key]]] = names[1][keys[key] % len(right)]
    return best
