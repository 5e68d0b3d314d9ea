"""What a user asks for: dicts become frozen dataclasses, checked field by field, and back again.

`build` is the only way in (YAML, `a.b=c` overrides, Python keywords), `dump` the only way out, `schema` the JSON Schema.
A field typed as a contract (Task, Adaptation, …) takes a plugin: its name, or a mapping with `name` and the plugin's keys.
A bare string fills the first field of a spec, so `model: e5-small` reads as `model: {name: e5-small}`.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from jishi.core import registry
from jishi.core.contracts import CONTRACTS
from jishi.core.document import Document, Keys, scalar
from jishi.core.errors import UsageError, did_you_mean

Spec = TypeVar("Spec")
REASONS = 3  # told of one value
FIRST = ""  # the key of a bare value: the plugin's name, or the first field of a spec


def build(cls: type[Spec], document: Document) -> Spec:
    """The spec of a document. Raises UsageError with file:line for unknown keys, bad values and missing ones."""
    return _build(cls, document.value, (), document)


def plugin(contract: type, document: Document) -> Any:
    """The plugin of a contract that a document names (`name` and the plugin's own keys)."""
    return _plugin(contract, document.value, (), document)


def dump(spec: Any) -> Any:
    """The spec as plain data that `build` reads back to an equal one."""
    if isinstance(spec, tuple | list):
        return [dump(item) for item in spec]
    if isinstance(spec, Mapping):
        return {key: dump(value) for key, value in spec.items()}
    if not dataclasses.is_dataclass(spec):
        return spec
    fields = {field.name: dump(getattr(spec, field.name)) for field in dataclasses.fields(spec)}
    return {"name": registry.name_of(spec), **fields} if isinstance(spec, tuple(CONTRACTS)) else fields


def override(document: Document, assignments: Iterable[str]) -> Document:
    """The document with `a.b=c` assignments laid over it, left to right."""
    value = _copy(document.value)
    for assignment in assignments:
        path, sign, given = assignment.partition("=")
        keys = path.strip().split(".")
        if not sign or not all(keys):
            raise UsageError("core.bad-override", given=assignment)
        target = value
        for key in keys[:-1]:
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = {} if inner is None else {FIRST: inner}
            target[key] = inner
            target = inner
        target[keys[-1]] = scalar(given)
    return Document(value, document.name, document.lines)


def first_field(cls: Any) -> str:
    """The field that a bare value fills."""
    return dataclasses.fields(cls)[0].name


def merge(document: Document, settings: Mapping[str, Any]) -> Document:
    """The document with other values laid over it, mappings key by key."""
    return Document(_laid_over(document.value, settings), document.name, document.lines)


def schema(cls: type) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a spec, with every plugin's keys."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_schema(cls)}
    held = {kind.__name__: _schema(kind) for kind in CONTRACTS if f'"#/$defs/{kind.__name__}"' in json.dumps(found)}
    return {**found, "$defs": held} if held else found


def _laid_over(old: Any, new: Any) -> Any:
    if not isinstance(new, Mapping):
        return str(new) if isinstance(new, Path) else new
    if not isinstance(old, Mapping):
        old = {}
    return {**old, **{key: _laid_over(old.get(key), value) for key, value in new.items()}}


def _copy(value: Any) -> Any:
    return {key: _copy(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def _build(cls: Any, value: Any, keys: Keys, document: Document) -> Any:
    """One value as `cls`, which is a spec, a contract, an optional of one, or a plain type."""
    inner, optional = _optional(cls)
    if value is None and optional:
        return None
    if inner in CONTRACTS:
        return _plugin(inner, value, keys, document)
    if dataclasses.is_dataclass(inner):
        return _dataclass(typing.cast(type, inner), value, keys, document)
    if (item := _item(inner)) is not None:
        given = list(value) if isinstance(value, list | tuple) else [value]
        return tuple(_build(item, one, (*keys, str(place)), document) for place, one in enumerate(given))
    try:
        return TypeAdapter(cls).validate_python(value)
    except ValidationError as error:
        # Where a value may be of several types, each says why it is not of it.
        reason = "; ".join(list(dict.fromkeys(one["msg"] for one in error.errors()))[:REASONS])
        raise UsageError(
            "core.bad-value", where=document.where(keys), key=".".join(keys), given=repr(value)[:80], reason=reason
        ) from None


def _plugin(contract: type, value: Any, keys: Keys, document: Document) -> Any:
    if isinstance(value, contract):
        return value
    given = dict(value) if isinstance(value, Mapping) else {"name": value}
    if FIRST in given:
        given = {"name": given.pop(FIRST), **given}
    if "name" not in given:
        raise UsageError("core.missing-key", where=document.where(keys), key=".".join((*keys, "name")))
    return _dataclass(registry.get(contract, str(given.pop("name"))), given, keys, document)


def _dataclass(cls: type, value: Any, keys: Keys, document: Document) -> Any:
    if isinstance(value, cls):
        return value
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    if not isinstance(value, Mapping):
        value = {FIRST: value}
    aliases = {alias: name for name, field in fields.items() for alias in field.metadata.get("aliases", ())}
    hints = typing.get_type_hints(cls, include_extras=True)
    values: dict[str, Any] = {}
    for key, given in value.items():
        name = first_field(cls) if key == FIRST else aliases.get(key, key)
        if name not in fields:
            raise UsageError(
                "core.unknown-key",
                where=document.where((*keys, key)),
                given=".".join((*keys, key)),
                hint=did_you_mean(key, [*fields, *aliases]),
                allowed=", ".join(fields),
            )
        values[name] = _build(hints[name], given, (*keys, key), document)
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in values:
            raise UsageError("core.missing-key", where=document.where(keys), key=".".join((*keys, name)))
    return cls(**values)


def _optional(cls: Any) -> tuple[Any, bool]:
    """`X | None` as (X, True); anything else as (itself, False)."""
    if get_origin(cls) in (typing.Union, types.UnionType):
        kinds = [kind for kind in get_args(cls) if kind is not type(None)]
        if len(kinds) == 1 and len(get_args(cls)) == 2:
            return kinds[0], True
    return cls, False


def _item(cls: Any) -> Any | None:
    """What `tuple[X, ...]` is made of, where X is a contract or a spec; one value alone stands for a tuple of it."""
    given = get_args(cls) if get_origin(cls) is tuple else ()
    several = len(given) == 2 and given[1] is Ellipsis
    return given[0] if several and (given[0] in CONTRACTS or dataclasses.is_dataclass(given[0])) else None


def _schema(cls: Any, within: tuple[Any, ...] = ()) -> dict[str, Any]:
    """`within` are the contracts that this is a part of: a plugin that holds plugins of its own kind refers to them."""
    inner, optional = _optional(cls)
    if (item := _item(inner)) is not None:
        return {"anyOf": [{"type": "array", "items": _schema(item, within)}, _schema(item, within)]}
    if inner in within:
        found: dict[str, Any] = {"$ref": f"#/$defs/{inner.__name__}"}
    elif inner in CONTRACTS:
        plugins = [_plugin_schema(inner, name, (*within, inner)) for name in registry.names(inner)]
        found = {"anyOf": [*plugins, {"type": "string"}]}
    elif dataclasses.is_dataclass(inner):
        found = _object_schema(typing.cast(type, inner), {}, within)
    else:
        return TypeAdapter(cls).json_schema()
    return {"anyOf": [found, {"type": "null"}]} if optional else found


def _plugin_schema(contract: type, name: str, within: tuple[Any, ...]) -> dict[str, Any]:
    return _object_schema(registry.get(contract, name), {"name": {"const": name}}, within)


def _object_schema(cls: type, properties: dict[str, Any], within: tuple[Any, ...]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    required = list(properties)
    for field in dataclasses.fields(cls):
        entry = {**_schema(hints[field.name], within), "description": field.metadata.get("en", "")}
        if field.default is not dataclasses.MISSING:
            entry["default"] = dump(field.default)
        elif field.default_factory is dataclasses.MISSING:
            required.append(field.name)
        properties[field.name] = entry
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
