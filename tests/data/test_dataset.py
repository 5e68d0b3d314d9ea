import json

import pytest

from jishi.core.errors import DataError
from jishi.data.dataset import Dataset
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec


@pytest.fixture
def prepared(task, write, reviews, tmp_path):
    prepare(DataSpec(write("a.jsonl", reviews(30))), task, tmp_path / "out")
    return tmp_path / "out"


def test_a_part_can_be_indexed_and_iterated_again_and_again(prepared):
    data = Dataset.load(prepared)
    assert len(data.train) == 24
    assert [row["text"] for row in data.train] == [data.train[place]["text"] for place in range(24)]
    assert list(data.parts) == ["train", "validation", "test"]


def test_a_flipped_byte_is_found(prepared):
    file = prepared / "test.arrow"
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged: test\.arrow"):
        Dataset.load(prepared)


@pytest.mark.parametrize("name", ["validation.arrow", "report.json"])
def test_a_missing_file_is_found(prepared, name):
    (prepared / name).unlink()
    with pytest.raises(DataError, match=name):
        Dataset.load(prepared)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"format": 99}, "update Jishi"), ({"parts": {}}, r"data\.json"), ({"format": "1"}, "update")],
)
def test_a_record_of_another_kind_is_refused(prepared, change, message):
    record = json.loads((prepared / "data.json").read_text())
    (prepared / "data.json").write_text(json.dumps({**record, **change}))
    with pytest.raises(DataError, match=message):
        Dataset.load(prepared)


def test_a_folder_without_a_record_is_not_prepared(tmp_path):
    with pytest.raises(DataError, match="jishi prepare"):
        Dataset.load(tmp_path)
