"""A small objective and rows to prepare, with nothing of the real tasks in it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jishi.core import registry
from jishi.core.contracts import Batch, Features, Head, Loss, Objective, Row
from jishi.core.errors import RowError


@dataclass(frozen=True)
class Noted(Objective):
    """Rows {"text", "note"?, "label"}."""

    columns = {"text": "text", "note": "text?"}
    targets = (("label",),)

    labels: tuple[str, ...] = ()
    max_length: int | None = None

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        if not isinstance(raw.get("text"), str):
            raise RowError("modalities.no-text", given="nothing")
        if training and raw.get("label") is None:
            raise RowError("tasks.label-missing")
        return {"text": raw["text"], "note": raw.get("note"), "label": raw["label"]}

    def head(self) -> Head:
        return Head("ForNothing")

    def encode(self, row: Row, processor: Any) -> Features:
        return {}

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return {}

    def loss(self, model: Any, batch: Batch) -> Loss:
        return Loss(0.0)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Noted:
    monkeypatch.setattr(registry, "name_of", lambda plugin: "noted")
    return Noted()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write rows as JSON Lines (or a text as it is) and say where."""

    def to(name: str, rows: Sequence[Mapping[str, Any]] | str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        elif isinstance(rows, str):
            path.write_text(rows, encoding="utf-8")
        else:
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return to


def reviews(count: int, start: int = 0) -> list[dict[str, str]]:
    """Rows with different texts, "good" and "bad" in turn."""
    return [{"text": f"review number {n} 很好", "label": ("good", "bad")[n % 2]} for n in range(start, start + count)]


@pytest.fixture(name="reviews")
def _reviews() -> Callable[..., list[dict[str, str]]]:
    return reviews
