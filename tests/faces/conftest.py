"""An empty folder to work in, reviews beside it, and a run of them."""

from pathlib import Path

import pytest

from commands import SMALL, ask, jsonl, lines
from jishi.core import i18n


@pytest.fixture(autouse=True)
def own_language():
    yield
    i18n.set_language(None)


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """An empty folder to work in, the reviews beside it."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)


@pytest.fixture
def reviews(tmp_path) -> Path:
    return jsonl(tmp_path / "reviews.jsonl", lines())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, str]:
    """A run folder, and what the command printed."""
    folder = tmp_path_factory.mktemp("cli")
    data = jsonl(folder / "reviews.jsonl", lines())
    result = ask("finetune", f"data={data}", f"out={folder / 'run'}", *SMALL, "--json")
    return folder / "run", result.stdout
