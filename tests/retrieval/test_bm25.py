import math

import pytest

from jishi.retrieval.bm25 import Words, words

pytest.importorskip("bm25s", reason="needs the extra retrieval")
pytest.importorskip("rjieba", reason="needs the extra retrieval")


def test_chinese_is_cut_into_words_and_marks_are_left_out():
    assert words("How do I RETURN it?") == ["how", "do", "i", "return", "it"]
    assert {"发票", "怎么", "开"} <= set(words("发票怎么开？"))
    assert words("……！") == []
    assert words("退货 non-refundable？OK，发票") == ["退货", "non", "refundable", "ok", "发票"]


def test_a_score_is_that_of_the_formula():
    """Three passages, lengths 2, 3, 1 (mean 2); "pay" stands in one, once: idf = ln(1 + (3 − 1 + .5) / 1.5)."""
    index = Words(["pay card", "send it back", "invoice"])
    ((place, score),) = index.find(["pay"], 3)[0]
    weight = 1 / (1 + 1.5 * (1 - 0.75 + 0.75 * 2 / 2))
    assert place == 0 and score == pytest.approx(math.log(1 + 2.5 / 1.5) * weight, rel=1e-5)


def test_what_shares_no_word_is_not_found():
    index = Words(["如何申请退货", "发票怎么开", "how to pay"])
    assert [place for place, _ in index.find(["我要退货"], 3)[0]] == [0]
    assert index.find(["zebra", "", "？"], 3) == [[], [], []]
    assert Words(["……", "！"]).find(["pay"], 2) == [[]]
