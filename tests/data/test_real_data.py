"""The real data sets are read whole: as many rows as their files have lines."""

import gzip

import pytest

from conftest import DATA
from jishi.core import registry
from jishi.core.contracts import Task
from jishi.data.infer import infer
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec

SETS = {
    "banking77": ("text-classification", 77),
    "shopping_reviews_zh": ("text-classification", 2),
    "uner_gsdsimp_zh": ("token-classification", 3),
    "wnut17": ("token-classification", 6),
    "sign_digits": ("image-classification", 10),
}


def line_count(path) -> int:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        return sum(1 for _ in file)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_every_line_of_a_real_set_becomes_a_row(name, tmp_path):
    task, labels = SETS[name]
    spec = DataSpec(str(DATA / name))
    inferred = infer(spec)
    assert isinstance(inferred, registry.get(Task, task))
    data = prepare(spec, inferred, tmp_path / "out")
    lines = {path.name.split(".")[0]: line_count(path) for path in (DATA / name).glob("*.jsonl*")}
    rows = {"train": len(data.train), "dev": len(data.validation), "test": len(data.test)}
    assert rows == lines
    assert data.ledger["read"] == sum(lines.values())
    assert data.ledger["refused"] == {}
    assert len(data.report["labels"]["train"]) == labels
    assert data.report["missing_in_train"] == []
    needed = {column for column, modality in inferred.columns.items() if not modality.endswith("?")}
    assert set(data.train[0]) == needed | set(inferred.targets[0])
