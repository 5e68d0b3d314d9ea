"""A data report with everything that is told by part (training, validation, test) gathered into one table."""

from collections.abc import Iterator, Mapping
from typing import Any

from jishi.data.spec import PARTS

Path = tuple[str, ...]


def table(report: Mapping[str, Any]) -> dict[str, Any]:
    """`columns`: the parts; `rows`: (keys that name it, cells); `rest`: the report without what the table holds.

    Labels stay in the rest: they are names of the user's, and many.
    """
    found = [entry for entry in _by_part(report, ()) if entry[0][0] != "labels"]
    found.sort(key=lambda entry: entry[0][0] == "ledger")  # the account of reading comes last
    columns = [part for part in PARTS if any(part in values for _, values in found)]
    rows = [(keys, [values.get(part) for part in columns]) for keys, values in found]
    return {"columns": columns, "rows": rows, "rest": {**_rest(report), **_kept(report, "labels")}}


def _by_part(value: Mapping[str, Any], keys: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for name, inner in value.items():
        if not isinstance(inner, Mapping):
            continue
        if not _is_by_part(inner):
            yield from _by_part(inner, (*keys, name))
        elif all(isinstance(cell, Mapping) for cell in inner.values()):
            path = keys if name == "parts" else (*keys, name)
            facts = dict.fromkeys(fact for cell in inner.values() for fact in cell)
            yield from (((*path, fact), {part: cell.get(fact) for part, cell in inner.items()}) for fact in facts)
        else:
            yield (*keys, name), inner


def _is_by_part(value: Mapping[str, Any]) -> bool:
    return bool(value) and value.keys() <= set(PARTS)


def _rest(value: Mapping[str, Any]) -> dict[str, Any]:
    left = {
        name: _rest(inner) if isinstance(inner, Mapping) else inner for name, inner in value.items() if not _told(inner)
    }
    return {name: inner for name, inner in left.items() if inner not in ({}, [], None)}


def _told(value: Any) -> bool:
    return isinstance(value, Mapping) and _is_by_part(value)


def _kept(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: value[name]} if value.get(name) else {}
