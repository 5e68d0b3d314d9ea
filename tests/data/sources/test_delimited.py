import pytest

from jishi.core.errors import DataError


def test_quoted_cells_hold_commas_quotes_and_line_ends(read):
    content = b'text,label\r\n"a, ""b""\r\nc",good\r\nd,bad\r\n'
    assert read("a.csv", content) == [(2, {"text": 'a, "b"\nc', "label": "good"}), (4, {"text": "d", "label": "bad"})]


def test_a_ragged_row_is_refused_with_its_line_and_the_rest_is_read(read):
    content = b"text,label\na,good\nb\nc,bad,extra\nd,bad\n"
    assert read("a.csv", content) == [
        (2, {"text": "a", "label": "good"}),
        (3, "data.ragged-row"),
        (4, "data.ragged-row"),
        (5, {"text": "d", "label": "bad"}),
    ]


def test_a_quote_without_an_end_does_not_swallow_the_rows_behind_it(read):
    content = b'text,label\n"a,good\nb,bad\nc,good\n'
    assert read("a.csv", content) == [
        (2, "data.bad-csv"),
        (3, {"text": "b", "label": "bad"}),
        (4, {"text": "c", "label": "good"}),
    ]


def test_an_open_quote_is_stopped_at_the_limit_of_a_row(read):
    content = b'text,label\n"a,good\n' + b"b,bad\n" * 100
    found = read("a.csv", content, row_bytes=64)
    assert found[0] == (2, "data.row-too-large")
    assert found[1:] == [(line, {"text": "b", "label": "bad"}) for line in range(3, 103)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"x\x00,good", "data.nul-byte"),
        (b"\xff,good", "data.bad-encoding"),
        (b"x" * 200 + b",good", "data.row-too-large"),
    ],
)
def test_a_bad_line_is_refused_where_it_stands(read, line, code):
    content = "text,label\n好,good\n".encode() + line + "\n坏,bad\n".encode()
    assert read("a.csv", content, row_bytes=100) == [
        (2, {"text": "好", "label": "good"}),
        (3, code),
        (4, {"text": "坏", "label": "bad"}),
    ]


def test_a_bad_line_inside_an_open_quote_is_told_of_in_its_turn(read):
    content = b'text,label\n"a,good\nb\x00,bad\nc,good\n'
    assert read("a.csv", content) == [(2, "data.bad-csv"), (3, "data.nul-byte"), (4, {"text": "c", "label": "good"})]


def test_in_tsv_a_quote_is_a_character(read):
    content = b'text\tlabel\n"so-called\tbad\n12" disc\tgood\n'
    assert read("a.tsv", content) == [
        (2, {"text": '"so-called', "label": "bad"}),
        (3, {"text": '12" disc', "label": "good"}),
    ]


def test_a_header_that_names_a_column_twice_is_refused(read):
    with pytest.raises(DataError, match="label twice"):
        read("a.csv", b"text,label,label\na,b,c\n")


def test_a_header_that_can_not_be_read_is_an_error_with_its_place(read):
    with pytest.raises(DataError, match=r"a\.csv:1: "):
        read("a.csv", b"te\x00xt,label\na,b\n")
