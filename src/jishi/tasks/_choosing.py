"""The plain rival of a choice: how a question and a choice overlap, and which words right choices have."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from jishi.core.contracts import Prediction, Row
from jishi.tasks import _rivals, _single

RIGHT, WRONG = "right", "wrong"


def rival(rows: Sequence[Row], answer: Callable[[numpy.ndarray], Prediction]) -> _rivals.Plain:
    """tf-idf, overlap and logistic regression over every question with each of its choices; the surest one wins."""
    plain = _rivals.text(_single, [pair for row in rows for pair in _pairs(row)])

    def infer(given: Sequence[Row]) -> list[Prediction]:
        scores = iter(
            [found["scores"][RIGHT] for found in plain.predict([pair for row in given for pair in _pairs(row)])]
        )
        sure = [numpy.array([next(scores) for _ in row["choices"]]) for row in given]
        return [answer(one / one.sum()) for one in sure]

    return _rivals.Plain(plain.name, list, infer)


def _pairs(row: Row) -> list[dict[str, Any]]:
    """A row of text classification for each choice."""
    return [
        {"text": row["question"], "text_pair": choice, "label": RIGHT if index == row.get("answer") else WRONG}
        for index, choice in enumerate(row["choices"])
    ]
