"""One row of the quality table: a data set, how much of it, and a spec."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAST_ONLY = 10**6  # steps between validations: beyond the end, so that the last weights are taken, not chosen
PROBE = {"epochs": 0, "fit_head": "before"}  # a linear probe


@dataclass(frozen=True)
class Case:
    """`settings` is a spec without its data and seed; `settings["data"]` adds to what the data set's folder says."""

    name: str
    data: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    train_rows: int | None = None
    seeds: int = 3  # 1 where a run takes over five minutes in bf16, or ten in fp32
    derive: Callable[[Path, Path], Path] | None = None  # makes the rows, from the data set's folder into another
