import os
import shutil

from jishi.lifecycle.models import models
from jishi.models import embedded


def test_every_base_is_listed_whether_at_hand_or_not(tmp_path):
    found = models(tmp_path / "nothing")
    assert [entry["name"] for entry in found] == list(embedded.names())
    assert {entry["kind"] for entry in found} == {"base"}


def test_bundles_below_a_folder_are_listed_newest_first(small_run, tmp_path):
    for name, age in (("old", 1_000), ("new", 2_000), ("deep/newest", 3_000)):
        shutil.copytree(small_run / "bundle", tmp_path / name / "bundle")
        os.utime(tmp_path / name / "bundle" / "jishi.json", (age, age))
    found = [entry for entry in models(tmp_path) if entry["kind"] == "bundle"]
    assert [entry["name"] for entry in found] == [
        str(tmp_path / name / "bundle") for name in ("deep/newest", "new", "old")
    ]
    assert found[0]["task"] == "text-classification" and found[0]["base"] == "text-cnn"
    assert set(found[0]["scores"]["accuracy"]) >= {"value", "low", "high"}


def test_a_folder_of_another_program_is_no_bundle(tmp_path):
    """Whatever a `jishi.json` holds, one damaged bundle hides no other."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "jishi.json").write_text("{not json", encoding="utf-8")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "jishi.json").write_text("{}", encoding="utf-8")
    assert [entry for entry in models(tmp_path) if entry["kind"] == "bundle"] == []


def test_a_bundle_still_being_written_is_not_listed(small_run, tmp_path):
    shutil.copytree(small_run / "bundle", tmp_path / "run" / ".bundle.x1y2")
    assert [entry for entry in models(tmp_path) if entry["kind"] == "bundle"] == []
