import threading
from pathlib import Path

import pytest

from jishi.models import cache


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: Path) -> None:
    (folder / "file").write_text("whole")


def test_a_folder_is_made_once() -> None:
    made = cache.folder("a/b-1", fill)
    assert (made / "file").read_text() == "whole"
    again = cache.folder("a/b-1", lambda _: pytest.fail("made twice"))
    assert again == made


def test_a_failure_leaves_nothing(home: Path) -> None:
    def fails(folder: Path) -> None:
        fill(folder)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.folder("a/b-1", fails)
    assert list((home / "a").iterdir()) == []


def test_two_makers_at_once_agree(home: Path) -> None:
    """Both are inside `make` before either may finish: one rename must lose and still answer."""
    together = threading.Barrier(2, timeout=10)
    found: list[Path] = []

    def make(folder: Path) -> None:
        fill(folder)
        together.wait()

    threads = [threading.Thread(target=lambda: found.append(cache.folder("a/b-1", make))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [home / "a" / "b-1"] * 2
    assert [path.name for path in (home / "a").iterdir()] == ["b-1"]
