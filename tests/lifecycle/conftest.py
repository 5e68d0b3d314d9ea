"""A small bundle of a whole run, made once."""

import json
from pathlib import Path

import pytest

import jishi

TRAIN = [{"text": f"{'很好用' if i % 2 else '质量很差'} {i}", "label": "good" if i % 2 else "bad"} for i in range(64)]


def jsonl(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """The folder of a run that learnt to tell two words apart."""
    folder = tmp_path_factory.mktemp("small")
    data = jsonl(folder / "reviews.jsonl", TRAIN)
    jishi.finetune(
        data=data, out=folder / "run", task="text-classification", model={"name": "text-cnn", "size": "nano"},
        train={"epochs": 6, "batch_size": 8, "learning_rate": 3e-3, "threads": 1},
    )  # fmt: skip
    return folder / "run"
