"""Filters drop what breaks a rule, name the rule, and leave the rest alone."""

import pytest

from jishi.core.errors import DataError
from jishi.operations.quality_filter import QualityFilter
from jishi.operations.script_filter import ScriptFilter
from jishi.operations.split_passages import SplitPassages
from jishi.operations.split_sentences import SplitSentences
from jishi.operations.word_filter import WordFilter

ENGLISH = "The house stood on a hill, and the wind that came from the sea went around it all winter long. "
CHINESE = "他们在山上的房子里住了一个冬天，海风吹过来的时候，屋子不冷也不热。"


def reason(operation, text):
    found = operation.treat(text)
    return found and next(iter(found.reasons))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("English and 中文 together", None),
        ("Русский текст", "other-script"),
        ("ひらがな", "other-script"),
        ("123 。，", "no-letters"),
        ("abcdefghi я", None),  # nine of ten letters
        ("abcdefgh я", "other-script"),  # eight of nine
    ],
)
def test_scripts_are_counted_by_letters(text, expected):
    assert reason(ScriptFilter(), text) == expected


def test_scripts_can_be_chosen():
    assert ScriptFilter(scripts=("cyrillic",)).treat("Русский текст") is None
    assert reason(ScriptFilter(scripts=("han",)), "English") == "other-script"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ENGLISH * 2, None),
        (CHINESE, None),
        ("too short", "short"),
        ("a = b + c < d > e | f ~ g ^ h", "symbols"),
        ("yes!!! no??? (so) [or]... {if}; what, eh?", "marks"),
        ("call 555 0123 4567 or 555 9876 54", "digits"),
        ("menu home\n" * 4 + "the rest of it", "repeated-lines"),
        ("so it went on " * 100, "repeats"),
        (" ".join(f"w{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10 % 10]}" for n in range(90)), "function-words"),
    ],
)
def test_the_rule_that_a_text_breaks_is_named(text, expected):
    assert reason(QualityFilter(), text) == expected


def test_limits_of_quality_are_options():
    assert QualityFilter(least=0).treat("too short") is None
    assert reason(QualityFilter(most=50), ENGLISH) == "long"
    assert QualityFilter(function_words=0).treat("lorem ipsum dolor sit amet consectetur " * 6) is None


@pytest.fixture
def words(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("bad\nbadger\n坏人\nC++\n", encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a BAD thing", "a *** thing"),
        ("two badgers, one badger", "two badgers, one ******"),
        ("他是坏人吗", "他是**吗"),
        ("he writes C++ daily", "he writes *** daily"),
        ("forbade", None),
        ("badly", None),
    ],
)
def test_words_of_a_list_are_found_whole(words, text, masked):
    found = WordFilter(words, then="mask").treat(text)
    assert (found and list(found.texts)) == (masked and [masked])
    assert (WordFilter(words).treat(text) is None) == (masked is None)


def test_a_few_words_may_be_allowed(words):
    assert WordFilter(words, most=1).treat("bad") is None
    assert WordFilter(words, most=1).treat("bad bad").reasons == {"word": 2}


def test_a_list_that_is_missing_or_empty_is_told(tmp_path):
    with pytest.raises(DataError, match="a word a line"):
        WordFilter(str(tmp_path / "none.txt")).treat("x")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("他说：“走吧。”然后走了。天黑了！", ["他说：“走吧。”", "然后走了。", "天黑了！"]),
        ("Dr. Smith came. It was 3.5 km! Was it? yes", ["Dr. Smith came.", "It was 3.5 km!", "Was it? yes"]),
        ("J. R. Smith\n\nnext", ["J. R. Smith", "next"]),
    ],
)
def test_sentences(text, sentences):
    assert list(SplitSentences().treat(text).texts) == ["\n".join(sentences)]
    assert list(SplitSentences(apart=True).treat(text).texts) == sentences
    assert SplitSentences().treat("\n".join(sentences)) is None


def test_passages_end_where_sentences_do_and_nothing_is_lost():
    text = "第一句话在这里。第二句话也在这里！\nThis is a third sentence. And this is a fourth one, which is longer than most."
    found = list(SplitPassages(characters=30).treat(text).texts)
    assert found == [
        "第一句话在这里。第二句话也在这里！",
        "This is a third sentence.",
        "And this is a fourth one, whic",
        "h is longer than most.",
    ]
    assert SplitPassages(characters=200).treat(text) is None
    whole = SplitPassages(characters=50).treat(text * 20)
    assert "".join("".join(whole.texts).split()) == "".join((text * 20).split())
    assert max(map(len, whole.texts)) <= 50 and whole.reasons == {"passages": len(whole.texts)}
