"""Write docs/en/reference.md and docs/zh/reference.md from the options themselves: `make docs`.

Every key, its type, default and sentence come from the spec dataclasses and the plugins, so the pages can't drift from them.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from jishi import api
from jishi.core import registry
from jishi.core.contracts import CONTRACTS

HERE = Path(__file__).parent
VERBS = (
    "prepare",
    "tokenizer",
    "pretrain",
    "advise",
    "finetune",
    "tune",
    "evaluate",
    "compress",
    "label",
    "errors",
    "serve",
)
WORDS = {
    "en": {
        "title": "# Reference",
        "lead": "Every key that a spec, a `key=value` on the command line or a Python keyword may set. "
        "Written by `make docs` from the source: do not edit.\n\n"
        "A bare value fills the first key of its table (`model=e5-small` is `model.name=e5-small`); keys nest with dots "
        "(`train.epochs=5`). A plugin is chosen by name, its keys follow (`adapt=lora adapt.rank=16`).",
        "plugins": "Plugins",
        "columns": "| key | type | default | what it says |",
        "also": "Also called",
        "none": "It has no keys.",
    },
    "zh": {
        "title": "# 参考",
        "lead": "规格文件、命令行 `键=值` 与 Python 关键字参数可用的全部键。本页由 `make docs` 从源码生成，请勿手改。\n\n"
        "单独给出的值填入该表的第一个键（`model=e5-small` 即 `model.name=e5-small`）；嵌套的键用点连接（`train.epochs=5`）。"
        "插件按名字选择，其键随后给出（`adapt=lora adapt.rank=16`）。",
        "plugins": "插件",
        "columns": "| 键 | 类型 | 默认值 | 含义 |",
        "also": "别名",
        "none": "没有可设置的键。",
    },
}


def page(language: str) -> str:
    """The reference in one language."""
    words = WORDS[language]
    parts = [words["title"], words["lead"]]
    plugins = dict.fromkeys(registry.get(contract, name) for contract in CONTRACTS for name in registry.names(contract))
    inner = (cls for plugin in plugins for cls in list(_specs(plugin))[1:])
    for cls in dict.fromkeys([*(cls for verb in VERBS for cls in _specs(api.spec_of(verb))), *inner]):
        parts += [f"## {_name(cls)}", _table(cls, language)]
    parts.append(f"## {words['plugins']}")
    for plugin in plugins:
        heading = f"### {plugin.__module__.split('.')[1]}: {registry.name_of(plugin)}"
        parts += [heading, *_described(plugin, language), _table(plugin, language)]
    return "\n\n".join(parts) + "\n"


def _specs(cls: type) -> Iterator[type]:
    """A spec and every spec inside it."""
    yield cls
    for hint in typing.get_type_hints(cls).values():
        for inner in (hint, *get_args(hint)):
            if dataclasses.is_dataclass(inner) and inner not in CONTRACTS:
                yield from _specs(typing.cast(type, inner))


def _name(cls: type) -> str:
    return cls.__name__.removesuffix("Spec").lower()


def _described(plugin: type, language: str) -> list[str]:
    """The docstring, which is English; the Chinese page goes without."""
    return ["\n".join(line.strip() for line in (plugin.__doc__ or "").splitlines())] if language == "en" else []


def _table(cls: type, language: str) -> str:
    words, hints = WORDS[language], typing.get_type_hints(cls, include_extras=True)
    rows = [_row(field, hints[field.name], language) for field in dataclasses.fields(cls)]
    return "\n".join([words["columns"], "|---|---|---|---|", *rows]) if rows else words["none"]


def _row(field: dataclasses.Field[Any], hint: Any, language: str) -> str:
    aliases = ", ".join(f"`{alias}`" for alias in field.metadata["aliases"])
    sentence = field.metadata[language] + (f" {WORDS[language]['also']}: {aliases}" if aliases else "")
    return f"| `{field.name}` | {_kind(hint)} | {_default(field)} | {sentence} |"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value: Any = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
        if isinstance(value, tuple(CONTRACTS)):
            return f"`{registry.name_of(value)}`"
    else:
        return ""
    if value is None or dataclasses.is_dataclass(value) or value in ((), {}, ""):
        return ""
    return f"`{', '.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _kind(hint: Any) -> str:
    """A type as a reader would say it."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in CONTRACTS:
        return str(hint.__name__).lower()
    if origin is Annotated:
        return _kind(args[0])
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in args)
    if origin in (typing.Union, types.UnionType):
        return " \\| ".join(_kind(inner) for inner in args if inner is not types.NoneType)
    if origin is tuple and args[-1] is not Ellipsis:
        return ", ".join(_kind(inner) for inner in args)
    if origin in (tuple, list):
        return f"list of {_kind(args[0])}"
    if origin is dict:
        return f"{_kind(args[0])} → {_kind(args[1])}"
    if dataclasses.is_dataclass(hint):
        return f"[{_name(typing.cast(type, hint))}](#{_name(typing.cast(type, hint))})"
    return str(hint.__name__)


def pages() -> dict[Path, str]:
    """Every page this script writes."""
    return {HERE / language / "reference.md": page(language) for language in WORDS}


if __name__ == "__main__":
    for path, content in pages().items():
        path.write_text(content, encoding="utf-8")
