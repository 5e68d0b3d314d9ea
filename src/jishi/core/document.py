"""Read a YAML or JSON spec as inert data: bounded, without anchors, aliases or tags, every key's line remembered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from jishi.core.errors import LimitError, UsageError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
Keys = tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e-4 as a number (YAML 1.2), where YAML 1.1 asks for a dot."""

    yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Document:
    """A mapping, and where each of its keys stands: `lines` maps a key path to its line, from 1."""

    value: Mapping[str, Any]
    name: str
    lines: Mapping[Keys, int] = field(default_factory=dict)

    def where(self, keys: Keys) -> str:
        """`file:line` of the nearest key that stands in the file, else the file's name."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return f"{self.name}:{self.lines[keys[:length]]}"
        return self.name


def read(path: str | Path) -> Document:
    """The document of a file. Raises UsageError or LimitError with file, line and cure."""
    file = Path(path)
    if not file.is_file():
        raise UsageError("core.document-missing", path=path)
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise LimitError("core.document-too-large", path=path, given=size, allowed=MAX_BYTES)
    try:
        return parse(file.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError:
        raise UsageError("core.document-not-utf8", path=path) from None


def parse(text: str, name: str) -> Document:
    """The document of a text; `name` stands in its errors."""
    try:
        _check(text, name)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError("core.document-syntax", path=name, line=mark.line + 1 if mark else 1, reason=reason) from None
    if not isinstance(node, yaml.MappingNode):
        raise UsageError("core.document-not-mapping", path=name)
    lines: dict[Keys, int] = {}
    value = _plain(node, (), lines, name)
    return Document(value, name, lines)


def scalar(text: str) -> Any:
    """The value of one YAML scalar or flow collection, as it stands behind `key=`; text that is no YAML is itself."""
    try:
        _check(text, "=")
        node = yaml.compose(text, Loader=_Loader)
        return text if node is None else _plain(node, (), {}, "=")
    except (yaml.YAMLError, UsageError, LimitError):
        return text


def _check(text: str, name: str) -> None:
    """Refuse what a spec may not hold before a tree is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        given = _forbidden(event)
        if given:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise UsageError("core.document-not-plain", path=name, line=line, given=given)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise LimitError("core.document-too-deep", path=name, allowed=MAX_DEPTH)


def _forbidden(event: yaml.Event) -> str | None:
    """The alias, anchor or tag of an event, as it is written."""
    if isinstance(event, yaml.AliasEvent):
        return f"*{event.anchor}"
    if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent):
        return f"&{event.anchor}" if event.anchor else event.tag
    return None


def _plain(node: yaml.Node, keys: Keys, lines: dict[Keys, int], name: str) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*keys, str(index)), lines, name) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in mapping:
                raise UsageError("core.document-repeated-key", path=name, line=line, given=key)
            lines[(*keys, key)] = line
            mapping[key] = _plain(value_node, (*keys, key), lines, name)
        return mapping
    loader = _Loader("")
    try:
        return loader.construct_object(node)
    finally:
        loader.dispose()
