"""A small bundle of a whole run, made once."""

from pathlib import Path

import pytest

import jishi
from commands import jsonl

TRAIN = [{"text": f"{'很好用' if i % 2 else '质量很差'} {i}", "label": "good" if i % 2 else "bad"} for i in range(64)]


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
