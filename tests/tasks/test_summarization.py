"""Summarization: what differs from translation."""

import pytest

from jishi.core.errors import RowError
from jishi.tasks.summarization import Summarization

DOCUMENT = "The new bridge was opened on Monday. It took four years to build."


@pytest.mark.parametrize(
    "raw",
    [
        {"document": DOCUMENT, "summary": "A bridge opens"},
        {"text": DOCUMENT, "summary": "A bridge opens"},
        {"article": DOCUMENT, "highlights": "A bridge opens"},
        {"abstract": DOCUMENT, "title": "A bridge opens", "keywords": ["x"]},
        {"document": DOCUMENT.replace(". It", ".\nIt").split("\n"), "summary": "A bridge opens"},
    ],
)
def test_rows_are_read_under_their_usual_names(raw) -> None:
    found = Summarization().parse(raw)
    assert found["summary"] == "A bridge opens" and found["document"].replace("\n", " ") == DOCUMENT


def test_a_document_without_a_summary_is_refused() -> None:
    with pytest.raises(RowError, match="no text to be written .*summary"):
        Summarization().parse({"document": DOCUMENT, "summary": None})


def test_scores_are_rouge_on_words_and_on_characters() -> None:
    task = Summarization()
    rows = [{"document": DOCUMENT, "summary": "a new bridge"}, {"document": "x", "summary": "新桥开通"}]
    said = [{"text": "A bridge"}, {"text": "新桥"}]
    # English: 2 of 2 and 2 of 3 words, no pair; Chinese: 2 of 2 and 2 of 4 characters, 1 of 1 and 1 of 3 pairs.
    assert task.score(said, rows) == pytest.approx(
        {"rouge1": (0.8 + 2 / 3) / 2, "rouge2": 0.25, "rougeL": (0.8 + 2 / 3) / 2}
    )
    assert task.credit(said[1], rows[1]) == pytest.approx(2 / 3)


def test_the_rival_is_the_one_that_suits_the_rows() -> None:
    """Forty documents whose last words are their summary."""
    rows = [
        {"document": f"much is said here and there about it. item {n} won", "summary": f"item {n} won"}
        for n in range(60)
    ]
    rival = Summarization().baseline(rows)
    assert rival.name == "last 3 words" and rival.predict(rows[:1]) == [{"text": "item 0 won"}]
