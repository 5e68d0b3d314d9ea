"""Pairs of texts held against each other: the places of the right ones, and the cosine of tf-idf as plain rival."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy

from jishi.core.contracts import Prediction, Row
from jishi.metrics import ranking
from jishi.tasks import _rivals


@dataclass(frozen=True)
class Plain:
    """Cosines of tf-idf vectors; `ranks` adds the place of each row's passage among all rows asked."""

    vectors: Any
    ranks: bool
    name: str = "tf-idf cosine"

    @classmethod
    def fit(cls, rows: Sequence[Row], *, ranks: bool) -> Self:
        """Terms and their weights from the texts of the training rows."""
        texts = [text for row in rows for text in _sides(row) if text]
        return cls(_rivals.vectors(texts).fit(texts), ranks)

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        if not len(rows):
            return []
        left, right = (
            self.vectors.transform([text or "" for text in side])
            for side in zip(*[_sides(row) for row in rows], strict=True)
        )
        cosines = numpy.asarray(left.multiply(right).sum(axis=1)).ravel()
        found = [{"similarity": float(value)} for value in cosines]
        return ranked(found, left, right, rows) if self.ranks else found


def ranked(predictions: Sequence[Prediction], left: Any, right: Any, rows: Sequence[Row]) -> list[Prediction]:
    """Each prediction with the place of its row's right side among those of all rows, from 1; vectors (N, D)."""
    first, second = zip(*[_sides(row) for row in rows], strict=True)
    places = ranking.places(left, right, first, second)
    return [{**prediction, "rank": place} for prediction, place in zip(predictions, places, strict=True)]


def _sides(row: Row) -> tuple[str, str | None]:
    """What a row holds against what."""
    first, second = ("text", "text_pair") if row.get("text") is not None else ("query", "passage")
    return row[first], row.get(second)
