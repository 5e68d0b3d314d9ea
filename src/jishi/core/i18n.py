"""One catalogue of user-facing sentences, in English and Chinese.

The catalogue is the folder `core/messages`: one JSON file an area, each entry a code with an `en` and a `zh` sentence.
A sentence may name values in braces, as `str.format` does.
"""

import json
import os
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh")
_chosen: ContextVar[str | None] = ContextVar("language", default=None)


def language() -> str:
    """The language in force: the one chosen, else `JISHI_LANG`, else the locale, else English."""
    wanted = _chosen.get() or os.environ.get("JISHI_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG") or "en"
    return "zh" if wanted.lower().startswith("zh") else "en"


def set_language(name: str | None) -> None:
    """Choose the language of this context (a command, one server request); None returns to the environment's."""
    _chosen.set(name)


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Every sentence by code (`area.name`); an area is a file of `core/messages`."""
    entries: dict[str, Mapping[str, str]] = {}
    for file in sorted((Path(__file__).parent / "messages").glob("*.json")):
        for name, entry in json.loads(file.read_text(encoding="utf-8")).items():
            entries[f"{file.stem}.{name}"] = entry
    return entries


def text(code: str, lang: str | None = None, /, **values: object) -> str:
    """The sentence of `code` with `values` filled in. An unknown code is a programming error: KeyError."""
    return catalogue()[code][lang or language()].format(**values)
