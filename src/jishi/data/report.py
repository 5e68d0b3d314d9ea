"""What prepared data are like: sizes, labels, lengths, duplicates, conflicts. Plain JSON; `report_table` puts it in words."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.compute

from jishi.core.contracts import Base, Objective
from jishi.data import columns, duplicates, near_duplicates, token_report
from jishi.data.dataset import Dataset
from jishi.data.duplicates import Marks
from jishi.data.intake import Accepted
from jishi.data.spec import PARTS

EXCERPT = 60
Tables = Mapping[str, pyarrow.Table]


def build(folder: Path, accepted: Accepted, owners: numpy.ndarray, objective: Objective, seed: int) -> dict[str, Any]:
    """The report of a folder's parts, tokens aside; `accepted` and `owners` tell which row is where."""
    tables = read(folder)
    chosen = {part: owners == PARTS.index(part) for part in tables}
    inputs, strata, empty = (accepted.column(name) for name in ("inputs", "strata", "empty"))
    marks = {part: Marks(inputs[rows], strata[rows]) for part, rows in chosen.items()}
    counts = {part: _label_counts(accepted, strata[rows]) for part, rows in chosen.items()}
    text = {part: _texts(table, objective) for part, table in tables.items()}
    found = {
        "rows": {part: table.num_rows for part, table in tables.items()},
        "labels": counts,
        "missing_in_train": sorted({label for part in counts.values() for label in part} - counts["train"].keys()),
        "characters": {part: _lengths(values) for part, values in text.items() if values is not None},
        "empty": {part: int(empty[rows].sum()) for part, rows in chosen.items()},
        "duplicates": duplicates.find(marks),
        "conflicts": duplicates.conflicts(marks),
        "near_duplicates": _near(text, marks, seed),
        "tokens": None,
    }
    return _with_excerpts(found, text)


def read(folder: Path) -> dict[str, pyarrow.Table]:
    """The parts of a prepared folder as memory-mapped tables."""
    files = {part: folder / f"{part}.arrow" for part in PARTS}
    return {
        part: pyarrow.ipc.open_stream(pyarrow.memory_map(str(file))).read_all() for part, file in files.items() if file.is_file()
    }


def with_tokens(dataset: Dataset, objective: Objective, processor: Any, base: Base | None) -> Dataset:
    """The dataset, its report counting tokens of this processor."""
    found = token_report.measure(read(dataset.path), objective, processor, base)
    return replace(dataset, report={**dataset.report, "tokens": found}) if found else dataset
