"""From the columns of a file to those of a task: renamed, joined, and relative paths resolved."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jishi.core import registry
from jishi.core.contracts import Base, Modality, Objective
from jishi.core.errors import DataError, ModelError, RowError, did_you_mean

Source = str | tuple[str, ...]  # the column of a file, or several
Aliases = Sequence[Mapping[str, str]]  # see `Objective.aliases`


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


def check_reader(objective: Objective, base: Base) -> None:
    """Whether a model reads what the columns hold. Raises ModelError."""
    held = [modality.removesuffix("?") for modality in objective.columns.values()]
    reads = base.modality.split("+")
    binary = {name for name in (*held, *reads) if registry.get(Modality, name).binary}
    if not binary or set(held) & {*binary, "text"} <= set(reads):
        return
    raise ModelError(
        "models.other-modality", name=base.name, given=base.modality, objective=registry.name_of(objective),
        allowed=", ".join(dict.fromkeys(held)),
    )  # fmt: skip


def check(raw: Mapping[str, Any], columns: Mapping[str, Source], where: str) -> None:
    """Whether a file's first row has every column the spec names. Raises DataError with the nearest name."""
    for name, given in ((name, given) for name, source in columns.items() for given in _names(source)):
        if given not in raw:
            raise DataError(
                "data.missing-column",
                where=where,
                key=name,
                given=given,
                hint=did_you_mean(given, raw),
                allowed=", ".join(map(str, raw)),
            )


def rename(raw: Mapping[str, Any], columns: Mapping[str, Source], aliases: Aliases = ()) -> dict[str, Any]:
    """The row under the task's column names; a column renamed away is left out.

    Several columns are read as one text, each on a line of its own, lists item by item, what is empty left out. Raises
    RowError where one of them is no text.
    """
    used = {given for source in columns.values() for given in _names(source)}
    kept = {key: value for key, value in raw.items() if key not in used}
    return canonical({**kept, **{name: _value(raw, source) for name, source in columns.items()}}, aliases)


def canonical(raw: Mapping[str, Any], aliases: Aliases) -> dict[str, Any]:
    """The row with the columns of the first set of `aliases` that it has any of, unless it has columns of that set's own."""
    for names in aliases:
        others = set(names.values())
        if others & raw.keys() and not names.keys() & raw.keys():
            kept = {key: value for key, value in raw.items() if key not in others}
            return {**kept, **{name: raw.get(other) for name, other in names.items()}}
    return dict(raw)


def resolve(raw: dict[str, Any], binary: list[Column], folder: Path) -> dict[str, Any]:
    """The row with every path in a binary column made absolute, relative ones from the folder of the file they stand in."""
    for column in binary:
        value = raw.get(column.name)
        if isinstance(value, str):
            raw[column.name] = str((folder / value).absolute())
    return raw


def has(raw: Mapping[str, Any], source: Source) -> bool:
    """Whether a row has the column, or all of several."""
    return all(name in raw for name in _names(source))


def _names(source: Source) -> tuple[str, ...]:
    return (source,) if isinstance(source, str) else source


def _value(raw: Mapping[str, Any], source: Source) -> Any:
    return raw.get(source) if isinstance(source, str) else "\n".join(_lines(raw, source)) or None


def _lines(raw: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        value = raw.get(name)
        for item in value if isinstance(value, list | tuple) else [value]:
            if not isinstance(item, str | int | float | None):
                raise RowError("data.not-text", key=name, given=repr(item)[:40])
            if item not in (None, ""):
                yield str(item)


def said(value: Any) -> str | None:
    """The text of a column's value: of several texts, or of the turns of a conversation, all of them."""
    if isinstance(value, list):
        return "\n".join(str(one["content"] if isinstance(one, Mapping) else one) for one in value)
    return None if value is None else str(value)
