"""The plain rivals of models that write, on rows small enough to do by hand."""

from jishi.tasks import _copyists
from jishi.tasks._word_table import WordTable

ROWS = [
    {"source": "red house", "target": "rotes Haus"},
    {"source": "red car", "target": "rotes Auto"},
    {"source": "blue car", "target": "blaues Auto"},
    {"source": "blue house", "target": "blaues Haus"},
]


def test_the_word_table_finds_which_word_stands_for_which() -> None:
    """red only ever stands beside rotes, and each noun beside each colour: no single row tells."""
    table = WordTable.of(ROWS, "source", "target")
    assert dict(table.known) == {"red": "rotes", "house": "Haus", "car": "Auto", "blue": "blaues"}
    assert table.predict([{"source": "blue red cat"}]) == [{"text": "blaues rotes"}]


def test_where_words_have_no_spaces_a_word_is_a_character() -> None:
    rows = [
        {"source": "吾食", "target": "我吃"},
        {"source": "吾行", "target": "我走"},
        {"source": "食", "target": "吃"},
    ]
    assert WordTable.of(rows, "source", "target").predict([{"source": "吾行食"}]) == [{"text": "我走吃"}]


def test_the_nearest_row_says_what_was_written_for_it() -> None:
    rival = _copyists.Nearest.of(ROWS, "source", "target")
    assert rival.predict([{"source": "a blue car"}, {"source": "red house"}]) == [
        {"text": "blaues Auto"},
        {"text": "rotes Haus"},
    ]
    assert rival.predict([]) == []


def test_the_first_and_the_last_words_are_as_many_as_was_written() -> None:
    rows = [
        {"document": "x", "summary": "a b"},
        {"document": "x", "summary": "a b c"},
        {"document": "x", "summary": "a b c"},
    ]
    first = _copyists.Lead.of(rows, "document", "summary")
    assert first.name == "first 3 words"
    assert first.predict([{"document": "One two three, four."}]) == [{"text": "One two three"}]
    last = _copyists.Lead.of(rows, "document", "summary", last=True)
    assert last.predict([{"document": "One two three, four."}, {"document": "我爱你们"}]) == [
        {"text": ", four."},
        {"text": "爱你们"},
    ]


def test_the_strongest_rival_is_chosen_on_rows_it_was_not_fitted_on() -> None:
    """Copying is right everywhere; the nearest row only where it was seen."""
    rows = [{"source": f"w{number}", "target": f"w{number}"} for number in range(100)]
    makers = [
        lambda given: _copyists.Nearest.of(given, "source", "target"),
        lambda _: _copyists.Lead("source", 9, "copy"),
    ]

    def score(predictions, held):
        return sum(answer["text"] == row["target"] for answer, row in zip(predictions, held, strict=True))

    assert _copyists.strongest(makers, rows, score).name == "copy"
    assert _copyists.strongest(makers, rows[:8], score).name == "nearest row"  # too few to try
