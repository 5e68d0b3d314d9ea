import gzip
import tracemalloc

import pytest

from jishi.core.errors import DataError


def test_rows_carry_their_lines_and_blank_lines_are_no_rows(read):
    assert read("a.jsonl", b'{"text": "x"}\n\n  \n{"text": "y"}') == [(1, {"text": "x"}), (4, {"text": "y"})]


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_a_row(read):
    assert read("a.jsonl", b'\xef\xbb\xbf{"text": "x"}\r\n{"text": "y"}\r\n') == [
        (1, {"text": "x"}),
        (2, {"text": "y"}),
    ]


def test_a_gzipped_file_reads_like_the_plain_one(read):
    content = '{"text": "好"}\n'.encode()
    assert read("a.jsonl.gz", gzip.compress(content)) == read("a.jsonl", content) == [(1, {"text": "好"})]


def test_a_gzipped_file_cut_short_is_named(read):
    import random

    noise = random.Random(0).randbytes(300_000).hex().encode()
    with pytest.raises(DataError, match="can't be read"):
        read("a.txt.gz", gzip.compress(noise)[:-1000], row_bytes=2**20)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"text": ', "data.bad-json"),
        (b'{"text": NaN}', "data.bad-json"),
        (b"[" * 100_000, "data.bad-json"),
        (b'["x"]', "data.not-an-object"),
        (b'{"text": "\x00"}', "data.nul-byte"),
        (b'{"text": "\xff"}', "data.bad-encoding"),
        (b'{"text": "' + b"x" * 2**20 + b'"}', "data.row-too-large"),
    ],
)
def test_a_bad_line_is_refused_and_the_next_is_read(read, line, code):
    good = '{"text": "好"}\n'.encode()
    assert read("a.jsonl", good + line + b"\n" + good) == [(1, {"text": "好"}), (2, code), (3, {"text": "好"})]


def test_a_line_at_the_limit_passes_and_one_byte_more_does_not(read):
    line = b'{"text": "' + b"x" * 88 + b'"}'
    assert len(line) == 100
    assert read("a.jsonl", line + b"\r\n", row_bytes=100) == [(1, {"text": "x" * 88})]
    assert read("a.jsonl", line + b"\r\n", row_bytes=99) == [(1, "data.row-too-large")]


def test_a_line_of_ten_megabytes_is_never_held_whole(read):
    content = b'{"text": "' + b"x" * 10 * 2**20 + b'"}\n{"text": "y"}\n'
    tracemalloc.start()
    try:
        found = read("a.jsonl", content, row_bytes=2**16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == [(1, "data.row-too-large"), (2, {"text": "y"})]
    assert peak < 2**21
