import pytest

from jishi.core.errors import DataError
from jishi.data import places
from jishi.data.spec import DataSpec


@pytest.fixture
def folder(tmp_path):
    def make(*names: str) -> str:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"x")
        return str(tmp_path)

    return make


def names(found):
    return {part: [path.name for path in paths] for part, paths in found.items()}


def test_the_files_of_a_folder_are_told_by_their_names(folder):
    path = folder("train.jsonl.gz", "dev.jsonl", "test.jsonl", "README.md", "labels.json", "training-notes.txt")
    assert names(places.find(DataSpec(path))) == {
        "train": ["train.jsonl.gz"],
        "validation": ["dev.jsonl"],
        "test": ["test.jsonl"],
    }


def test_shards_of_a_part_are_read_in_order(folder):
    path = folder("train-00001-of-00002.parquet", "train-00000-of-00002.parquet", "validation-00000-of-00001.parquet")
    assert names(places.find(DataSpec(path)))["train"] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]


def test_sub_folders_of_pictures_are_parts_or_else_labels(folder):
    assert names(places.find(DataSpec(folder("train/cat/a.jpg", "test/cat/b.jpg")))) == {
        "train": ["train"],
        "test": ["test"],
    }


def test_a_folder_of_labelled_pictures_is_all_training_data(folder, tmp_path):
    assert places.find(DataSpec(folder("cat/a.jpg", "dog/b.jpg"))) == {"train": [tmp_path]}


def test_a_part_given_as_a_folder_is_its_part_of_that_name(folder):
    path = folder("train.csv", "test.csv")
    assert names(places.find(DataSpec(f"{path}/train.csv", validation=path))) == {
        "train": ["train.csv"],
        "validation": ["train.csv"],
    }
    assert names(places.find(DataSpec(f"{path}/train.csv", test=path))) == {
        "train": ["train.csv"],
        "test": ["test.csv"],
    }


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (["train.csv", "train.jsonl"], "more than one format"),
        (["test.csv"], "no training data"),
        (["notes.md"], "neither files"),
        ([], "neither files"),
    ],
)
def test_a_folder_that_leaves_a_doubt_says_so(folder, made, message):
    with pytest.raises(DataError, match=message):
        places.find(DataSpec(folder(*made)))


def test_a_path_that_leads_nowhere_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv does not exist"):
        places.find(DataSpec(f"{tmp_path}/gone.csv"))
