"""A JSON file: an array of objects, or one under "data", read one object at a time; JSON Lines by this name are read as such."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from jishi.core.errors import DataError, RowError
from jishi.data.sources import json_value, jsonl, nested
from jishi.data.sources.limits import Limits, Rows
from jishi.data.sources.stream import codec, opened

CHUNK = 64 * 1024
_GAP = re.compile(r"[\s,]*")


def read(path: Path, limits: Limits) -> Rows:
    window = _Window(path, limits)
    first = window.next_character()
    if first == "[":
        return _objects(window, path, limits)
    if first == "{" and (head := nested.FILE.match(window.text, window.start)):
        limits = replace(limits, row_bytes=nested.ARTICLES * limits.row_bytes)
        window = _Window(path, limits)
        window.next_character()
        window.take(len(head.group()))
        return _objects(window, path, limits)
    if first == "{":
        return jsonl.read(path, limits)
    raise DataError("data.not-an-array", path=path)


def _objects(window: "_Window", path: Path, limits: Limits) -> Rows:
    window.take(1)
    while (character := window.next_character()) != "]":
        where = f"{path}:{window.line}"
        if not character:
            raise DataError("data.bad-json-array", where=where, reason="the array has no end")
        value, length = window.value(where)
        window.take(length)
        if length > limits.row_bytes:
            yield where, RowError("data.row-too-large", allowed=limits.row_bytes)
        else:
            yield where, json_value.checked(value)


class _Window:
    """The part of a file that is held: `text` from `start` on is still to be read, and stands at line `line`."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.text = ""
        self.start = 0
        self.line = 1
        self._limit = limits.row_bytes
        self._chunks = _texts(path, codec(path, limits))

    def grow(self) -> bool:
        """Read on until twice as much is held; False at the end of the file or beyond the limit of a row."""
        self.text, self.start = self.text[self.start :], 0
        before = len(self.text)
        if before > self._limit:
            return False
        while len(self.text) < (2 * before or CHUNK) and (chunk := next(self._chunks, "")):
            self.text += chunk
        return len(self.text) > before

    def take(self, length: int) -> None:
        """Leave the next characters behind."""
        self.line += self.text.count("\n", self.start, self.start + length)
        self.start += length

    def next_character(self) -> str:
        """The next character that is no space or comma; "" at the end of the file."""
        while True:
            self.take(_GAP.match(self.text, self.start).end() - self.start)
            if self.start < len(self.text) or not self.grow():
                return self.text[self.start : self.start + 1]

    def value(self, where: str) -> tuple[Any, int]:
        """The next value and its length; more is read until the value is whole."""
        while True:
            try:
                value, end = json_value.DECODER.raw_decode(self.text, self.start)
                if end < len(self.text) or not self.grow():  # a number at the very end may go on
                    return value, end - self.start
            except (ValueError, RecursionError) as error:
                if not self.grow():
                    large = len(self.text) > self._limit
                    syntax = getattr(error, "msg", None) or error
                    reason = RowError("data.row-too-large", allowed=self._limit) if large else syntax
                    raise DataError("data.bad-json-array", where=where, reason=reason) from None


def _texts(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file in pieces. What can't be decoded ends the file: where its row ends is not known."""
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
    line = 1
    with opened(path) as stream:
        while chunk := stream.read(CHUNK):
            try:
                text = decoder.decode(chunk)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                raise DataError("data.bad-json-array", where=f"{path}:{line}", reason=f"not {encoding}") from None
            if "\0" in text:
                line += text.count("\n", 0, text.index("\0"))
                raise DataError("data.bad-json-array", where=f"{path}:{line}", reason="NUL byte")
            line += text.count("\n")
            yield text
