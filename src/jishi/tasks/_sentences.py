"""A plain rival for questions: the sentence that shares most with the question, or silence where most rows have no answer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from jishi.core.contracts import Prediction, Row
from jishi.tasks import _rivals

_SENTENCE = re.compile(r"[^。！？；!?\n]+?(?:[。！？；!?\n]|\.(?=\s)|$)")
QUANTILES = (0.25, 0.5, 0.75, 1.0)  # of the answers' lengths, from which the best cut is taken
FITTED = 300  # rows

Credit = Callable[[Prediction, Row], float]


@dataclass(frozen=True)
class Sentences:
    """The first `length` characters of the sentence with the highest tf-idf similarity to the question."""

    vectors: Any
    length: int
    name: str = "tf-idf sentence"

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        return [_begin(row["context"], _nearest(self.vectors, row), self.length) for row in rows]


@dataclass(frozen=True)
class Silence:
    """Answers nothing."""

    name: str = "no answer"

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        return [{"answer": "", "start": None, "end": None}] * len(rows)


def fit(rows: Sequence[Row], credit: Credit) -> Sentences | Silence:
    """Of both rivals, and of several lengths, the one that does best on the training rows."""
    sample = [rows[int(place)] for place in numpy.linspace(0, len(rows) - 1, min(FITTED, len(rows)))]
    lengths = [len(answer["text"]) for row in sample for answer in row["answers"]]
    vectors = _rivals.vectors([row["context"] for row in sample])
    silence = Silence()
    credits = {0: sum(map(credit, silence.predict(sample), sample))}
    try:
        vectors.fit([text for row in sample for text in (row["question"], row["context"])])
        spans = [_nearest(vectors, row) for row in sample]
        for length in numpy.quantile(lengths, QUANTILES).astype(int).tolist():
            answers = [_begin(row["context"], span, length) for row, span in zip(sample, spans, strict=True)]
            credits[length] = sum(map(credit, answers, sample))
    except (ValueError, IndexError):  # no term can be counted, or no row has an answer
        pass
    best = max(credits, key=credits.__getitem__)
    return Sentences(vectors, best) if best else silence


def _nearest(vectors: Any, row: Row) -> tuple[int, int]:
    """Where the sentence most like the question stands."""
    text = row["context"]
    spans = [match.span() for match in _SENTENCE.finditer(text) if match.group().strip()] or [(0, len(text))]
    made = vectors.transform([row["question"], *(text[start:end] for start, end in spans)])
    return spans[int((made[1:] @ made[0].T).toarray().argmax())]


def _begin(text: str, span: tuple[int, int], length: int) -> Prediction:
    """The first `length` characters of a sentence, without the white space around it."""
    start, end = span
    start += len(text[start:end]) - len(text[start:end].lstrip())
    found = text[start : min(end, start + length)].rstrip()
    return {"answer": found, "start": start, "end": start + len(found)}
