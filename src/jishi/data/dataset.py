"""Prepared data: a folder with one Arrow file a part, read by memory map, and the record of how it was made.

data/reviews/
├── train.arrow  validation.arrow  test.arrow     canonical rows
├── data.json       format, fingerprints, ledger, sources with SHA-256, spec, task
└── report.json     what the data are like
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jishi.core import manifest
from jishi.core.errors import DataError
from jishi.data.spec import PARTS

if TYPE_CHECKING:
    import datasets

FORMAT = 1
RECORD = "data.json"
REPORT = "report.json"


@dataclass(frozen=True)
class Dataset:
    """Canonical rows by part: index a part or iterate over it; a part nobody gave or cut is None."""

    path: Path
    record: Mapping[str, Any]
    report: Mapping[str, Any]
    train: "datasets.Dataset"
    validation: "datasets.Dataset | None" = None
    test: "datasets.Dataset | None" = None

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = True) -> "Dataset":
        """The dataset of a prepared folder. Raises DataError where it is none, is newer, or (`verify`) was changed."""
        import datasets

        folder = Path(path)
        record = read_record(folder)
        files = {part: folder / f"{part}.arrow" for part in PARTS if part in record["parts"]}
        for part, file in files.items():
            if not file.is_file() or (verify and manifest.sha256(file) != record["parts"][part]["sha256"]):
                raise DataError("data.damaged", path=folder, file=file.name)
        parts = {part: datasets.Dataset.from_file(str(file)) for part, file in files.items()}
        return cls(path=folder, record=record, report=_json(folder, REPORT), **parts)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the rows of all parts say, in order; the same wherever and whenever they are prepared."""
        return self.record["fingerprint"]

    @property
    def ledger(self) -> Mapping[str, Any]:
        """Rows read, accepted, refused and cut, with samples of the refused."""
        return self.record["ledger"]

    @property
    def parts(self) -> "Mapping[str, datasets.Dataset]":
        """The parts there are, train first."""
        return dict(self._parts())

    def _parts(self) -> "Iterator[tuple[str, datasets.Dataset]]":
        for part in PARTS:
            rows = getattr(self, part)
            if rows is not None:
                yield part, rows


def is_prepared(path: str | Path) -> bool:
    """Whether a folder was made by `prepare`."""
    return (Path(path) / RECORD).is_file()


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a prepared folder, its keys checked. Raises DataError."""
    if not is_prepared(folder):
        raise DataError("data.not-prepared", path=folder)
    record = _json(folder, RECORD)
    version = record.get("format")
    if not isinstance(version, int) or version > FORMAT:
        raise DataError("data.newer", path=folder, given=version, allowed=FORMAT)
    parts = record.get("parts")
    if (
        not isinstance(parts, dict)
        or "train" not in parts
        or not {"fingerprint", "recipe", "ledger", "task"} <= record.keys()
    ):
        raise DataError("data.damaged", path=folder, file=RECORD)
    return record


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise DataError("data.damaged", path=folder, file=name)
    return value
