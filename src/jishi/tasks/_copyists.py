"""Plain rivals of models that write: they copy, from the text itself or from the training row that is most like it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from jishi.core.contracts import Prediction, Rival, Row
from jishi.core.script import units
from jishi.tasks import _rivals

TRIED = 200  # training rows set aside to choose a rival by
AT_ONCE = 256
Make = Callable[[Sequence[Row]], Rival]


def strongest(
    makers: Sequence[Make], rows: Sequence[Row], score: Callable[[list[Prediction], Sequence[Row]], float]
) -> Rival:
    """Of several rivals the one that does best on training rows set aside, fitted on all of them; of few rows the first."""
    order = numpy.random.default_rng(0).permutation(len(rows)).tolist()
    tried = [rows[index] for index in order[: min(TRIED, len(rows) // 5)]]
    rest = [rows[index] for index in order[len(tried) :]]
    if len(tried) < 10:
        return makers[0](rows)
    found = [score(make(rest).predict(tried), tried) for make in makers]
    return makers[int(numpy.argmax(found))](rows)


@dataclass(frozen=True)
class Nearest:
    """What was written for the training row whose text is most like this one (tf-idf, cosine)."""

    column: str
    written: Sequence[str]
    vectors: Any
    known: Any  # (N, terms)
    name: str = "nearest row"

    @classmethod
    def of(cls, rows: Sequence[Row], column: str, target: str) -> "Nearest":
        texts = [row[column] for row in rows]
        vectors = _rivals.vectors(texts)
        return cls(column, [row[target] for row in rows], vectors, vectors.fit_transform(texts))

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        texts, found = [row[self.column] for row in rows], list[int]()
        for start in range(0, len(texts), AT_ONCE):
            asked = self.vectors.transform(texts[start : start + AT_ONCE])
            found += numpy.asarray((asked @ self.known.T).argmax(1)).ravel().tolist()
        return [{"text": self.written[index]} for index in found]


@dataclass(frozen=True)
class Lead:
    """The first `count` words of the text, or its last (characters, where words have no spaces)."""

    column: str
    count: int
    name: str
    last: bool = False

    @classmethod
    def of(cls, rows: Sequence[Row], column: str, target: str, *, last: bool = False) -> "Lead":
        """As many words as what was written mostly has."""
        count = int(numpy.median([len(units(row[target])) for row in rows]))
        return cls(column, max(count, 1), f"{'last' if last else 'first'} {count} words", last)

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        return [{"text": self._cut(row[self.column])} for row in rows]

    def _cut(self, text: str) -> str:
        spans = units(text)
        if len(spans) <= self.count:
            return text
        return text[spans[-self.count][0] :] if self.last else text[: spans[self.count - 1][1]]
