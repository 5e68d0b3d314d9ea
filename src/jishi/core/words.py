"""Whole words of a text, Chinese ones too, which stand without spaces: cut by jieba."""

import logging
from functools import cache
from typing import Any

from jishi.core.errors import MissingExtra
from jishi.core.script import SPACELESS, units


@cache
def jieba(extra: str) -> Any:
    """The tokenizer of jieba; `extra` is what the caller needs it for. Raises MissingExtra."""
    try:
        import jieba
    except ModuleNotFoundError as missing:
        raise MissingExtra("jieba", extra) from missing
    jieba.setLogLevel(logging.WARNING)
    return jieba.Tokenizer()


def spans(text: str, extra: str) -> list[tuple[int, int]]:
    """Start and end of every word in characters; marks are words too, spaces are none."""
    if not SPACELESS.search(text):
        return units(text)
    return [(start, end) for word, start, end in jieba(extra).tokenize(text) if not word.isspace()]
