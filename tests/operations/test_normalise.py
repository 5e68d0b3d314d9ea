"""Equal words are written alike, and nothing else is touched."""

import pytest

from jishi.operations.normalise import Normalise


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("cafe\u0301", "café", "unicode"),
        ("Ａ１，ｂ", "A1，b", "width"),
        ("a\u200bb\x07c", "abc", "control"),
        ("a\r\nb\rc", "a\nb\nc", "line-ends"),
        ("a \t b\u3000c \n  d\n\n\n\ne", "a b c\nd\n\ne", "spaces"),
        ("Ã©tÃ© Ã  MÃ¼nchen", "été à München", "encoding"),
    ],
)
def test_what_is_put_right_and_why(before, after, reason):
    pytest.importorskip("ftfy", reason="needs the extra corpus")
    found = Normalise().treat(before)
    assert list(found.texts) == [after] and found.reasons[reason] == 1
    assert Normalise().treat(after) is None  # and stays so


@pytest.mark.parametrize("text", ["plain words\nin lines", "中文，标点。“引号”…", "naïve Ünïcode", "emoji 👩\u200d💻"])
def test_what_is_right_stays_as_it_is(text):
    assert Normalise().treat(text) is None


def test_nothing_left_is_dropped():
    found = Normalise().treat(" \u200b\n")
    assert list(found.texts) == [] and found.reasons == {"empty": 1}


def test_chinese_is_converted_where_asked_for():
    pytest.importorskip("opencc", reason="needs the extra corpus")
    assert list(Normalise(han="simplified").treat("漢語學習").texts) == ["汉语学习"]
    assert list(Normalise(han="traditional").treat("汉语学习").texts) == ["漢語學習"]
    assert Normalise(han="simplified").treat("汉语") is None


def test_the_compatible_form_makes_punctuation_narrow():
    assert list(Normalise(form="NFKC").treat("好，ﬁn").texts) == ["好,fin"]
    assert Normalise(form="none", mend=False).treat("cafe\u0301") is None
