"""Every objective, or one of each family of backbones, ready to run: initialised on its eight rows, with a fresh small model."""

import pytest
import torch

from eight import DESIGNS, FAMILIES, ROWS, Ready, taught
from jishi.core import registry
from jishi.core.contracts import Objective
from jishi.models import load


@pytest.fixture
def ready(name: str, tmp_path_factory: pytest.TempPathFactory) -> Ready:
    name, design = FAMILIES.get(name, (name, None))
    raw = ROWS[name]
    objective = registry.get(Objective, name)(**taught(name, tmp_path_factory.mktemp("teacher")))
    rows = [objective.parse(row) for row in raw]
    spec = design or DESIGNS.get(name) or DESIGNS[next(iter(objective.columns.values())).rstrip("?")]
    base = load.base(spec)
    processor = load.processor(spec, rows, objective.marks)
    objective = objective.initialize(rows, base)
    torch.manual_seed(0)
    return Ready(objective, rows, load.model(spec, objective.head(), base, processor), processor, base)
