"""Questions filed under their texts, as SQuAD and CMRC 2018 publish them: every question becomes a row of its own.

SQuAD: {"data": [{"paragraphs": [{"context", "qas": [{"question", "answers"}]}]}]}. CMRC: [{"context_text", "qas": [{"query_text",
"answers"}]}]. What stands beside a list (a title, an id) goes to each of its rows.
"""

import re
from collections.abc import Mapping
from typing import Any

from jishi.core.errors import RowError
from jishi.data.sources.limits import Rows

LISTS = ("paragraphs", "qas")
NAMES = {"context_text": "context", "query_text": "question", "query_id": "id"}  # CMRC's
ARTICLES = 64  # times as large as a row an article may be
_SCALAR = r'"[^"\\]*"\s*:\s*(?:"[^"\\]*"|[\w.+-]+)\s*,\s*'
FILE = re.compile(rf'\{{\s*(?:{_SCALAR})*"data"\s*:\s*(?=\[\s*[{{\]])')
"""How a file begins whose rows are the objects of its "data"."""


def rows(found: Rows) -> Rows:
    """The rows of a reader, with what is nested among them taken apart."""
    for where, raw in found:
        if isinstance(raw, RowError) or not any(name in raw for name in LISTS):
            yield where, raw
        else:
            yield from _apart(where, raw)


def _apart(where: str, raw: Mapping[str, Any]) -> Rows:
    name = next((name for name in LISTS if name in raw), None)
    if name is None:
        yield where, {NAMES.get(key, key): value for key, value in raw.items()}
        return
    shared = {key: value for key, value in raw.items() if key != name}
    if not isinstance(raw[name], list):
        yield where, RowError("data.not-a-list-of-objects", key=name, given=type(raw[name]).__name__)
        return
    for number, item in enumerate(raw[name]):
        place = f"{where} {name}[{number}]"
        if isinstance(item, Mapping):
            yield from _apart(place, {**shared, **item})
        else:
            yield place, RowError("data.not-an-object", given=type(item).__name__)
