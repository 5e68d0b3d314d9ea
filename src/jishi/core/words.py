"""Whole words of a text, Chinese ones too, which stand without spaces: cut by jieba."""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from jishi.core.errors import MissingExtra
from jishi.core.script import SPACELESS, units

Made = TypeVar("Made")
_RUN = re.compile(f"(?:{SPACELESS.pattern})+")


def jieba(extra: str) -> Any:
    """jieba in Rust, some ten times as fast; `extra` is what the caller needs it for. Raises MissingExtra."""
    try:
        import rjieba
    except ModuleNotFoundError as missing:
        raise MissingExtra("rjieba", extra) from missing
    return rjieba


def spans(text: str, extra: str) -> list[tuple[int, int]]:
    """Start and end of every word in characters; marks are words too, spaces are none."""

    def cut(run: str) -> list[tuple[int, int]]:
        return [(start, end) for word, start, end in jieba(extra).tokenize(run) if not word.isspace()]

    return [(at + start, at + end) for at, found in runs(text, cut, units) for start, end in found]


def runs(text: str, spaceless: Callable[[str], Made], spaced: Callable[[str], Made]) -> Iterator[tuple[int, Made]]:
    """What is made of each stretch of text that is written without spaces, and of what stands between, with where it begins."""
    end = 0
    for run in _RUN.finditer(text):
        if run.start() > end:
            yield end, spaced(text[end : run.start()])
        yield run.start(), spaceless(run[0])
        end = run.end()
    if end < len(text):
        yield end, spaced(text[end:])
