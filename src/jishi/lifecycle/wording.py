"""Values as a person reads them: numbers, sizes, durations, answers, and sentences in both languages."""

import json
from collections.abc import Mapping
from typing import Any

from jishi.core import i18n


def sentence(code: str, lang: str, **values: Any) -> str:
    """A sentence of the report's catalogue; `name` is that of a system and is put into the language too."""
    if "name" in values:
        values["name"] = title(values["name"], lang)
    return i18n.text(f"report.{code}", lang, **values)


def title(key: str, lang: str) -> str:
    """The heading of a key: its own where the catalogue has one, else the key itself."""
    known = i18n.catalogue().get(f"report.key-{key.replace('_', '-')}")
    return known[lang] if known else key.replace("_", " ")


def number(value: float | None) -> str:
    """A score or a measured value, three decimals or four digits; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.3f}" if 0.0005 <= abs(value) < 10 or value == 0 else f"{value:.4g}"


def short(value: Any) -> str:
    """A setting: a number in four digits, of a plugin its name and keys, a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, dict):
        return " ".join(short(one) if key == "name" else f"{key}={short(one)}" for key, one in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def count(value: float) -> str:
    """A whole number in groups of three."""
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Bytes."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def large(value: float) -> str:
    """A number that may be huge, three digits and the letter of its power."""
    for letter in ("", "k", "M", "G", "T", "P"):
        if value < 1000:
            return f"{value:.3g} {letter}".rstrip()
        value /= 1000
    return f"{value:.3g} E"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def p_value(value: float) -> str:
    """A p-value that does not break over a line."""
    text = "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def fact(name: str, value: Any) -> str:
    """A value under a key, in the unit the key names."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if name.endswith("seconds"):
            return duration(value)
        if name.endswith(("bytes", "memory")):
            return size(value)
        if isinstance(value, float) and name.endswith(("share", "truncated", "unknown", "windows")):
            return f"{value:.1%}"
    return brief(value)


def brief(value: Any) -> str:
    """Any value of a row or an answer in one line."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, int | float):
        return count(value) if float(value).is_integer() else number(value)
    if isinstance(value, list | tuple):
        return ", ".join(brief(item) for item in value) or "∅"
    return _brief_mapping(value) if isinstance(value, Mapping) else str(value)


def _brief_mapping(value: Mapping[str, Any]) -> str:
    if "label" in value:
        place = value.get("text") or (f"{value['start']}–{value['end']}" if "start" in value else "")
        return f"{place} [{value['label']}]" if place else brief(value["label"])
    if "intent" in value:
        return f"{value['intent']}: {brief(value.get('slots'))}"
    for key in ("labels", "entities", "value", "text"):
        if key in value:
            return brief(value[key])
    if len(value) == 1:
        return brief(next(iter(value.values())))
    return json.dumps(value, ensure_ascii=False)


def is_counts(value: Any) -> bool:
    """Whether a mapping holds numbers of rows by name, so that bars say more than figures."""
    return isinstance(value, Mapping) and len(value) > 3 and all(type(item) is int for item in value.values())


def is_listing(value: Any) -> bool:
    return isinstance(value, list | tuple)


def is_grid(value: Any) -> bool:
    """Whether a mapping holds several mappings of plain values, as reports by part do: the columns of a table."""
    inner = list(value.values()) if isinstance(value, Mapping) else []
    if len(inner) < 2 or not all(isinstance(item, Mapping) for item in inner):
        return False
    return all(not isinstance(cell, Mapping | list | tuple) for item in inner for cell in item.values())


def transposed(value: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A mapping of mappings as a table: the outer keys its `columns`, each inner key one of its `rows` (key, cells)."""
    names = dict.fromkeys(name for inner in value.values() for name in inner)
    return {"columns": list(value), "rows": [(name, [inner.get(name) for inner in value.values()]) for name in names]}
