import json
import tracemalloc

import pytest

from jishi.core.errors import DataError


def test_objects_carry_the_line_they_begin_at(read):
    content = b'[\n  {"text": "x",\n   "label": 1},\n  {"text": "y"}\n]\n'
    assert read("a.json", content) == [(2, {"text": "x", "label": 1}), (4, {"text": "y"})]


def test_an_array_larger_than_what_is_held_at_once_is_read_whole(read):
    rows = [{"text": "字" * (n % 977), "number": n} for n in range(700)]
    content = json.dumps(rows, ensure_ascii=False, indent=1).encode()
    assert len(content) > 4 * 64 * 1024
    assert [row for _, row in read("a.json", content)] == rows


def test_json_lines_under_the_name_json_are_read_as_lines(read):
    assert read("a.json", b'{"text": "x"}\n{"text": "y"}\n') == [(1, {"text": "x"}), (2, {"text": "y"})]


def test_values_that_are_no_rows_are_refused_one_by_one(read):
    content = b'[{"a": 1}, 12, "x", {"a": "' + b"y" * 200 + b'"}, {"a": 2}]'
    expected = [{"a": 1}, "data.not-an-object", "data.not-an-object", "data.row-too-large", {"a": 2}]
    assert [row for _, row in read("a.json", content, row_bytes=100)] == expected


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b'[{"a": 1},\n {"a": }]', "a.json:2"),
        (b'[{"a": 1},\n {"a": 2}', "a.json:2"),
        (b'[{"a": 1},\n {"a": "\x00"}]', "a.json:2"),
        (b'[{"a": "\xe5\xa5\xbd"},\n {"a": "\xe5\xa5\xbd"},\n {"a": "\xff"}]', "a.json:3"),
        (b'[{"a": NaN}]', "a.json:1"),
    ],
)
def test_a_fault_from_which_no_reading_on_is_possible_ends_with_its_place(read, content, place):
    with pytest.raises(DataError, match=place):
        read("a.json", content)


def test_a_value_of_ten_megabytes_is_never_held_whole(read):
    content = b'[{"a": 1}, {"a": "' + b"x" * 10 * 2**20 + b'"}]'
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="max_row_bytes"):
            read("a.json", content, row_bytes=2**16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**21


def test_a_file_that_is_neither_array_nor_objects_says_what_to_write(read):
    with pytest.raises(DataError, match=r"\[\{…\}, \{…\}\]"):
        read("a.json", b'"text"')
