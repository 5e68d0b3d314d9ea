import pyarrow
import pyarrow.parquet
import pytest

from jishi.core.errors import DataError
from jishi.data.sources import formats
from jishi.data.sources.limits import Limits


def test_every_line_of_a_plain_text_that_is_not_blank_is_a_row(read):
    assert read("a.txt", "一\n\n 二 \n".encode()) == [(1, {"text": "一"}), (3, {"text": " 二 "})]


def test_an_empty_file_is_named(read):
    with pytest.raises(DataError, match=r"a\.csv is empty"):
        read("a.csv", b"")


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.parquet.gz", "a.gz"])
def test_a_format_nobody_reads_is_refused_with_those_that_are(read, name):
    with pytest.raises(DataError, match=r"\.jsonl.*\.csv"):
        read(name, b"x")


def test_parquet_rows_are_plain_and_pictures_are_bytes(tmp_path):
    path = tmp_path / "a.parquet"
    rows = [{"n": 1, "image": {"bytes": b"P", "path": "p.png"}}, {"n": 2, "image": {"bytes": None, "path": "q.png"}}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert list(formats.rows(path, Limits())) == [
        (f"{path}:1", {"n": 1, "image": b"P"}),
        (f"{path}:2", {"n": 2, "image": "q.png"}),
    ]


def test_a_parquet_file_that_is_none_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"a\.parquet can't be read"):
        list(formats.rows(path, Limits()))


def test_in_an_image_folder_the_sub_folder_is_the_label_and_hidden_files_are_left_out(tmp_path):
    for name in ("cat/b.PNG", "cat/deep/a.jpg", "dog/c.jpeg", "dog/.hidden.png", "dog/notes.txt", ".git/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [(where.removeprefix(f"{tmp_path}/"), raw) for where, raw in formats.rows(tmp_path, Limits())]
    assert [(where, raw["label"]) for where, raw in found[:3]] == [
        ("cat/b.PNG", "cat"),
        ("cat/deep/a.jpg", "cat"),
        ("dog/c.jpeg", "dog"),
    ]
    assert found[3][0] == "dog/notes.txt"
    assert found[3][1].code == "data.not-a-picture"
    assert len(found) == 4


def test_a_picture_in_no_sub_folder_has_no_label(tmp_path):
    for name in ("b.png", "a.JPG", ".c.png", "README.md", "cat/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [raw for _, raw in formats.rows(tmp_path, Limits())]
    assert [raw.get("label") for raw in found] == [None, None, "cat"]
    assert [raw["image"] for raw in found] == [str(tmp_path / name) for name in ("a.JPG", "b.png", "cat/d.png")]
