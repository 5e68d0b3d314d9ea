import pytest

from jishi.core.errors import DataError, RowError
from jishi.data.rows import read


def test_rows_come_with_their_place(write):
    source = write("a.csv", "text\nx\ny\n")
    assert list(read(source)) == [(f"{source}:2", {"text": "x"}), (f"{source}:3", {"text": "y"})]


def test_a_bad_row_is_an_error_with_its_place(write):
    with pytest.raises(RowError, match=r"a\.jsonl:2: "):
        list(read(write("a.jsonl", '{"text": "x"}\n{')))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="gone"):
        list(read(tmp_path / "gone.csv"))
