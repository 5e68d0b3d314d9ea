"""Every number is worked out by hand from the definitions that SQuAD's and CMRC's own scorers publish."""

import pytest

from jishi.metrics.answers import exact, f1


@pytest.mark.parametrize(
    ("answers", "given", "right", "overlap"),
    [
        (["The Eiffel Tower"], "eiffel tower!", 1, 1.0),  # case, article and mark do not count
        (["Eiffel Tower"], "the tall tower", 0, 0.5),  # shared 1; said 2 (tall, tower), wanted 2
        (["in the year 1889", "1889"], "1889.", 1, 1.0),  # the best of several
        (["New York New York"], "New York", 0, 2 / 3),  # a bag: shared 2 of 4 and 2
        (["a"], "the", 1, 1.0),  # nothing is left of either
        (["an apple"], "a", 0, 0.0),
        (["and theory"], "theory and", 0, 1.0),  # order does not count in F1; "the" is taken out as a word only
        ([], "", 1, 1.0),  # unanswerable
        ([], "Paris", 0, 0.0),
        (["Paris"], "", 0, 0.0),
        (["U.S."], "us", 1, 1.0),
    ],
)
def test_english_answers_are_scored_as_squad_does(answers, given, right, overlap):
    assert exact(answers, given) == right
    assert f1(answers, given) == pytest.approx(overlap)


@pytest.mark.parametrize(
    ("answers", "given", "right", "overlap"),
    [
        (["北京大学"], "北京大学。", 1, 1.0),
        (["北京大学"], "在北京大学读书", 0, 2 * 4 / (4 + 7)),
        (["北京和上海"], "上海和北京", 0, 2 * 2 / (5 + 5)),  # the longest run is 北京 or 上海: a bag would say 1
        (["2004年Windows XP"], "windows xp", 0, 2 * 2 / (4 + 2)),  # units 2004 年 windows xp
        (["《三国志》"], "三国志", 1, 1.0),
        (["3.5亿"], "3.5亿", 1, 1.0),
        (["甲", "乙丙"], "乙丙丁", 0, 2 * 2 / (2 + 3)),
        (["甲"], "乙", 0, 0.0),
        ([], "", 1, 1.0),
        ([], "甲", 0, 0.0),
    ],
)
def test_chinese_answers_are_scored_as_cmrc_does(answers, given, right, overlap):
    assert exact(answers, given, chinese=True) == right
    assert f1(answers, given, chinese=True) == pytest.approx(overlap)


def test_words_of_latin_letters_are_one_unit_among_chinese_characters():
    assert f1(["使用Python语言"], "Python", chinese=True) == pytest.approx(2 / 6)
    assert f1(["使用Python语言"], "Pythonic", chinese=True) == 0
