"""From the columns of a file to those of a task: renamed, and relative paths resolved."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jishi.core import registry
from jishi.core.contracts import Modality, Objective
from jishi.core.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Column:
    """One input column of an objective and the modality that reads it."""

    name: str
    modality: Modality


def inputs(objective: Objective | type[Objective]) -> list[Column]:
    """The input columns, in the order the objective names them."""
    return [
        Column(name, registry.get(Modality, modality.removesuffix("?"))())
        for name, modality in objective.columns.items()
    ]


def check(raw: Mapping[str, Any], columns: Mapping[str, str], where: str) -> None:
    """Whether a file's first row has every column the spec names. Raises DataError with the nearest name."""
    for name, given in columns.items():
        if given not in raw:
            raise DataError(
                "data.missing-column",
                where=where,
                key=name,
                given=given,
                hint=did_you_mean(given, raw),
                allowed=", ".join(map(str, raw)),
            )


def rename(raw: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The row under the task's column names; a column renamed away is left out."""
    kept = {key: value for key, value in raw.items() if key not in columns.values()}
    return {**kept, **{name: raw[given] for name, given in columns.items() if given in raw}}


def resolve(raw: dict[str, Any], binary: list[Column], folder: Path) -> dict[str, Any]:
    """The row with every path in a binary column made absolute, relative ones from the folder of the file they stand in."""
    for column in binary:
        value = raw.get(column.name)
        if isinstance(value, str):
            raw[column.name] = str((folder / value).absolute())
    return raw
