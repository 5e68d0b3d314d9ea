"""The rows that a finished bundle is judged on: all of a file, of a folder the part that nothing was learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jishi.core.contracts import Row, Task
from jishi.data import places, store
from jishi.data.dataset import Dataset
from jishi.data.part import Part
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec


@dataclass(frozen=True)
class Judged:
    """The rows of a `part`, the data they belong to, and the rows that may be learnt from: none where all judge."""

    rows: Sequence[Row]
    part: str
    train: Sequence[Row]
    data: Dataset

    @property
    def validation(self) -> Sequence[Row] | None:
        """The rows that choices may be made on: none where they judge."""
        return self.data.validation if self.part == "test" else None


def judged(data: DataSpec, task: Task, folder: Path) -> Judged:
    """The test part, else the validation part, else all there is; read into `folder`. Raises DataError."""
    made = prepare(replace(_alone(data), split=(1.0, 0.0, 0.0)), task, folder)
    part = "test" if made.test is not None else "validation" if made.validation is not None else "train"
    return Judged(Part(store.tables(made.path)[part]), part, made.train if part != "train" else (), made)


def _alone(data: DataSpec) -> DataSpec:
    """The data, with the test file of a folder that has no training file in the place of the folder."""
    found = places.parts(Path(data.train))
    if "train" in found or len(found.get("test", ())) != 1:
        return data
    return replace(data, train=str(found["test"][0]))
