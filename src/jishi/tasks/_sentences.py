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
FITTED = 500  # rows

Credit = Callable[[Prediction, Row], float]


@dataclass(frozen=True)
class Sentences:
    """The first `length` characters of the sentence with the highest tf-idf similarity to the question."""

    vectors: Any
    length: int
    name: str = "tf-idf sentence"

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        return [self._answer(row["question"], row["context"]) for row in rows]

    def _answer(self, question: str, passage: str) -> Prediction:
        spans = [match.span() for match in _SENTENCE.finditer(passage) if match.group().strip()] or [(0, len(passage))]
        made = self.vectors.transform([question, *(passage[start:end] for start, end in spans)])
        start, end = spans[int((made[1:] @ made[0].T).toarray().argmax())]
        start += len(passage[start:end]) - len(passage[start:end].lstrip())
        text = passage[start : min(end, start + self.length)].rstrip()
        return {"answer": text, "start": start, "end": start + len(text)}


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
    rivals: list[Sentences | Silence] = [Silence()]
    try:
        vectors.fit([text for row in sample for text in (row["question"], row["context"])])
        rivals += [
            Sentences(vectors, int(length)) for length in sorted(set(numpy.quantile(lengths, QUANTILES).astype(int)))
        ]
    except (ValueError, IndexError):  # no term can be counted, or no row has an answer
        pass
    return max(rivals, key=lambda rival: sum(map(credit, rival.predict(sample), sample)))
