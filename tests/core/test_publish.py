import os
import stat

import pytest

from jishi.core import publish


def test_a_folder_appears_whole(tmp_path):
    with publish.folder(tmp_path / "deep" / "out") as temporary:
        (temporary / "a").write_text("1")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "a").read_text() == "1"
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_failure_leaves_no_trace_and_the_old_folder_whole(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("kept")
    with pytest.raises(KeyboardInterrupt), publish.folder(tmp_path / "out") as temporary:
        (temporary / "half").write_text("1")
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "old"]


def test_a_folder_in_the_way_is_replaced(tmp_path):
    for content in ("1", "2"):
        with publish.folder(tmp_path / "out") as temporary:
            (temporary / content).write_text(content)
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "2"]


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("kept")
    rename = type(tmp_path).rename

    def failing(self, target):
        if self.name.startswith(".out.part.") and target.name == "out":
            raise OSError("disk")
        return rename(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", failing)
    with pytest.raises(OSError, match="disk"), publish.folder(tmp_path / "out") as temporary:
        (temporary / "new").write_text("1")
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "old"]


def test_every_file_is_on_disk_before_the_folder_takes_its_name(tmp_path, monkeypatch):
    order = []
    flush, rename = publish._flush, type(tmp_path).rename
    monkeypatch.setattr(publish, "_flush", lambda path: (order.append(path.name), flush(path)))
    monkeypatch.setattr(type(tmp_path), "rename", lambda self, target: (order.append("rename"), rename(self, target)))
    with publish.folder(tmp_path / "out") as temporary:
        (temporary / "a").write_text("1")
    assert order.index("a") < order.index("rename") < order.index(tmp_path.name)


def test_what_is_published_can_be_read_by_others(tmp_path):
    umask = os.umask(0o022)
    try:
        with publish.folder(tmp_path / "out") as temporary:
            (temporary / "a").write_text("1")
        publish.write_text(tmp_path / "b", "1")
    finally:
        os.umask(umask)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out", "out/a", "b")]
    assert modes == [0o755, 0o644, 0o644]


def test_a_file_is_replaced_or_left_as_it_was(tmp_path):
    publish.write_text(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError):
        publish.write_text(tmp_path / "a", "\ud800")
    assert (tmp_path / "a").read_text() == "old"
    publish.write_text(tmp_path / "a", "新")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "新"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_writer_left_is_swept_away(tmp_path):
    """Killed while it wrote a folder, while it wrote a file, and between the two renames of a replacement."""
    (tmp_path / "kept").mkdir()
    (tmp_path / ".hidden").write_text("kept")
    (tmp_path / ".new.part.ab12_xyz").mkdir()
    (tmp_path / ".new.part.ab12_xyz" / "half").write_text("1")
    (tmp_path / ".run.json.part.q1w2e3r4").write_text("half")
    for name in ("moved", "kept"):
        (tmp_path / f".{name}.old.ab12_xyz" / "old").mkdir(parents=True)
        (tmp_path / f".{name}.old.ab12_xyz" / "old" / "file").write_text("old")
    publish.sweep(tmp_path)
    assert sorted(file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")) == [
        ".hidden", "kept", "moved", "moved/file",
    ]  # fmt: skip
    publish.sweep(tmp_path / "none")


def test_what_is_being_written_is_what_sweeping_knows(tmp_path):
    (tmp_path / "out").mkdir()
    with publish.folder(tmp_path / "out") as temporary:
        assert publish._LEFT.fullmatch(temporary.name)
        publish.sweep(tmp_path)
        assert not temporary.exists()
        temporary.mkdir()
