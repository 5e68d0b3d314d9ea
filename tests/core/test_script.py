import pytest

from jishi.core.script import script, spaceless, units


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("很好用 ok", "han"),
        ("とても いい です", "kana"),
        ("très bien", "latin"),
        ("очень", "cyrillic"),
        ("123 !", "other"),
        ("", "other"),
    ],
)
def test_the_script_is_that_of_most_letters(text, name):
    assert script(text) == name


def test_chinese_is_spaceless_and_a_foreign_word_does_not_change_it():
    assert spaceless("这个 iPhone 很好用")
    assert not spaceless("I love 北京")
    assert not spaceless("  ")


def test_units_are_words_single_chinese_characters_and_marks():
    text = "在北京2004年,New York's café!"
    assert [text[start:end] for start, end in units(text)] == [
        "在", "北", "京", "2004", "年", ",", "New", "York", "'", "s", "café", "!"
    ]  # fmt: skip


def test_what_has_no_width_belongs_to_the_unit_before():
    for text, count in (("cafe\u0301 x", 2), ("Dubbz\ufeff", 1), ("❤\ufe0f!", 2), ("नमस्ते", 1)):
        assert len(units(text)) == count
        assert "".join(text[start:end] for start, end in units(text)) == text.replace(" ", "")
