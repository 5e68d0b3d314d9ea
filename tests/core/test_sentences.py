import pytest

from jishi.core import sentences


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("One. Two two. Three three three.", "One. Two two.", "Three three three."),
        ("天冷。他说：“走。”我们就走了。", "天冷。他说：“走。”", "我们就走了。"),
        ("Mr. Smith came in. He sat.", "Mr. Smith came in.", "He sat."),
        ("一行\n\n另外一行", "一行", "另外一行"),
        ("很好用，下次还会买", "很好用，", "下次还会买"),  # one sentence: at a pause
        ("good value for money", "good value", "for money"),  # at a space
        ("用了两天就坏了", "用了两", "天就坏了"),  # anywhere
        ("  好。", "好", "。"),  # its end is no cut
        ("好", "好", ""),
        ("", "", ""),
    ],
)
def test_a_text_is_cut_where_a_sentence_ends_nearest_its_middle(text, first, second):
    assert sentences.halves(text) == (first, second)


def test_sentences_end_where_they_end():
    said = "他来了。“坐！”她说；Dr. Who left. Then 3 came.\n完"
    assert sentences.split(said) == ["他来了。", "“坐！”", "她说；", "Dr. Who left.", "Then 3 came.", "完"]
