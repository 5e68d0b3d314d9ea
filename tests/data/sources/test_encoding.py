import io

import pytest

from jishi.core.errors import DataError
from jishi.data.sources.encoding import detect

CHINESE = "这家酒店的服务非常好，下次还会再来。\n房间干净，早餐也不错。\n"


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "gb18030"])
def test_chinese_text_is_told_by_its_bytes(codec):
    assert detect(io.BytesIO(CHINESE.encode(codec)), "a") == codec.removesuffix("-sig")


def test_chinese_text_behind_a_long_english_beginning_is_still_told():
    assert detect(io.BytesIO(b"plain words\n" * 20_000 + CHINESE.encode("gb18030")), "a") == "gb18030"


def test_a_sample_that_ends_inside_a_character_is_no_fault():
    content = ("a" + "好" * 40_000).encode("gb18030")
    assert detect(io.BytesIO(content), "a") == "gb18030"


def test_one_damaged_line_does_not_decide_for_the_file():
    assert detect(io.BytesIO(CHINESE.encode() + b"\xff\xfe\xff\n" + CHINESE.encode()), "a") == "utf-8"


@pytest.mark.parametrize("text", ["Très bien, déjà vu, à bientôt\n", "la préférence générale du théorème\n"])
def test_western_text_is_not_taken_for_chinese(text):
    # The second text is valid GB18030: each accent makes a rare character together with the letter behind it.
    with pytest.raises(DataError, match="encoding="):
        detect(io.BytesIO(text.encode("latin-1")), "a")


@pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
def test_wide_encodings_are_refused_with_the_cure(codec):
    with pytest.raises(DataError, match="iconv"):
        detect(io.BytesIO(CHINESE.encode(codec)), "a")


def test_a_named_encoding_is_used_without_looking(read):
    content = "name;x\n".replace(";", ",").encode() + "café,1\n".encode("latin-1")
    assert read("a.csv", content, encoding="latin-1") == [(2, {"name": "café", "x": "1"})]


def test_gb18030_files_read_like_utf8_ones(read):
    rows = 'text,label\n"好，很好",正面\n𠮷,负面\n'
    assert (
        read("a.csv", rows.encode("gb18030"))
        == read("b.csv", rows.encode())
        == [
            (2, {"text": "好，很好", "label": "正面"}),
            (3, {"text": "𠮷", "label": "负面"}),
        ]
    )
