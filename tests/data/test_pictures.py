"""Rows that name pictures, through the whole of `prepare` and the real task."""

import pytest
from PIL import Image

from jishi.core import registry
from jishi.core.contracts import Objective, Task
from jishi.core.errors import RowError
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec


@pytest.fixture
def pictures(tmp_path):
    for number in range(6):
        folder = tmp_path / "set" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(folder / f"{number}.png")
    return tmp_path / "set"


@pytest.fixture
def images():
    return registry.get(Task, "image-classification")()


def test_an_image_folder_becomes_rows_of_absolute_paths(pictures, images, tmp_path):
    data = prepare(DataSpec(str(pictures), split=(1.0, 0.0, 0.0)), images, tmp_path / "out")
    assert data.train[0] == {"image": str(pictures / "cat/0.png"), "label": "cat"}
    assert data.report["labels"]["train"] == {"cat": 3, "dog": 3}


@pytest.mark.parametrize("parts", [False, True])
def test_pictures_without_labels_are_enough_to_pretrain_on_and_not_to_tell_classes_apart(
    pictures, images, tmp_path, parts
):
    flat = tmp_path / "flat" / "train" if parts else tmp_path / "flat"
    flat.mkdir(parents=True)
    for place, file in enumerate(sorted(pictures.rglob("*.png"))):
        file.rename(flat / f"{place}.png")
    spec = DataSpec(str(tmp_path / "flat"), split=(1.0, 0.0, 0.0))
    views = registry.get(Objective, "contrastive-views")()
    data = prepare(spec, views, tmp_path / "out")
    assert [row["image"] for row in data.train] == [str(flat / f"{place}.png") for place in range(6)]
    with pytest.raises(RowError, match=r"0\.png.*label"):
        prepare(spec, images, tmp_path / "refused")


def test_paths_in_a_file_begin_at_its_folder(pictures, images, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write("set/a.csv", "image,label\ncat/0.png,c\ndog/1.png,d\n")
    data = prepare(DataSpec(source, split=(1.0, 0.0, 0.0)), images, tmp_path / "out")
    assert [row["image"] for row in data.train] == [str(pictures / "cat/0.png"), str(pictures / "dog/1.png")]


def test_pictures_count_by_what_they_show_not_by_their_names(pictures, images, tmp_path):
    (pictures / "dog/copy.png").write_bytes((pictures / "cat/0.png").read_bytes())
    spec = DataSpec(str(pictures), split=(1.0, 0.0, 0.0))
    data = prepare(spec, images, tmp_path / "out")
    assert data.report["duplicates"]["within"] == {"train": 1}
    assert data.report["conflicts"]["rows"] == 2
    moved = pictures.rename(tmp_path / "moved")
    again = prepare(DataSpec(str(moved), split=(1.0, 0.0, 0.0)), images, tmp_path / "again")
    assert again.fingerprint == data.fingerprint


def test_a_picture_that_changed_is_seen_though_the_file_that_names_it_did_not(pictures, images, write, tmp_path):
    source = write("set/a.csv", "image,label\ncat/0.png,c\ndog/1.png,d\n")
    spec = DataSpec(source, split=(1.0, 0.0, 0.0))
    before = prepare(spec, images, tmp_path / "out").fingerprint
    Image.new("RGB", (8, 8), "green").save(pictures / "cat/0.png")
    assert prepare(spec, images, tmp_path / "out").fingerprint != before


@pytest.mark.parametrize(("name", "content"), [("bad.png", b"no picture"), ("gone.png", None)])
def test_a_picture_that_is_none_is_refused_with_its_line(pictures, images, write, tmp_path, name, content):
    if content:
        (pictures / name).write_bytes(content)
    source = write("set/a.csv", f"image,label\ncat/0.png,c\n{name},d\n")
    with pytest.raises(RowError, match=rf"a\.csv:3: .*{name}"):
        prepare(DataSpec(source), images, tmp_path / "out")
