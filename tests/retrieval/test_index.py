import json

import numpy
import pytest

from jishi.core.errors import BundleError
from jishi.retrieval.index import Index

ROWS = [{"passage": "甲\u2028乙", "id": 1}, {"passage": "b\nc", "id": 2}]
INDEX = Index(ROWS, ["甲\u2028乙", "b\nc"], numpy.eye(2, 3, dtype="f"), {"bundle": "x"})


def test_an_index_is_read_as_it_was_written(tmp_path):
    INDEX.write(tmp_path / "index")
    found = Index.read(tmp_path / "index")
    assert (found.rows, found.texts) == (ROWS, INDEX.texts) and numpy.array_equal(found.vectors, INDEX.vectors)
    assert found.record == {"format": 1, "bundle": "x"}
    assert not [
        file for file in (tmp_path / "index").iterdir() if file.suffix not in {".json", ".jsonl", ".safetensors"}
    ]


def test_a_changed_file_is_named(tmp_path):
    INDEX.write(tmp_path)
    text = (tmp_path / "passages.jsonl").read_text(encoding="utf-8")
    (tmp_path / "passages.jsonl").write_text(text.replace("b", "d"), encoding="utf-8")
    with pytest.raises(BundleError, match=r"passages\.jsonl"):
        Index.read(tmp_path)


def test_what_is_no_index_or_a_newer_one_is_refused(tmp_path):
    with pytest.raises(BundleError, match="is no index"):
        Index.read(tmp_path)
    newer = tmp_path / "newer"
    Index([], [], numpy.eye(1), {"format": 2}).write(newer)
    assert json.loads((newer / "index.json").read_text())["format"] == 2
    with pytest.raises(BundleError, match="format 2"):
        Index.read(newer)
