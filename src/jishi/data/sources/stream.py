"""The lines of a text file, gzipped or not, one at a time and never more of a line than its limit."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from jishi.core.errors import DataError, RowError
from jishi.data.sources.encoding import detect
from jishi.data.sources.limits import Limits

SKIP_BYTES = 64 * 1024


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unzipped where its name ends in .gz. Raises DataError where they can't be read."""
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            yield stream
    except (EOFError, zlib.error, OSError) as error:
        raise DataError("data.unreadable-file", path=path, reason=error) from error


def codec(path: Path, limits: Limits) -> str:
    """The encoding to read a file with: the one asked for, else the one its first lines are in."""
    if limits.encoding != "auto":
        return limits.encoding
    with opened(path) as stream:
        return detect(stream, str(path))


def lines(path: Path, limits: Limits) -> Iterator[tuple[int, str | RowError]]:
    """Line numbers from 1 with the text, its line end removed; a line that can't be had is a RowError in its place."""
    encoding = codec(path, limits)
    with opened(path) as stream:
        number = 0
        while line := stream.readline(limits.row_bytes + 2):  # two more bytes for the line end
            number += 1
            content = line.rstrip(b"\r\n")
            if number == 1:
                content = content.removeprefix(codecs.BOM_UTF8)
            if len(content) > limits.row_bytes:
                _skip_line(stream, line)
                yield number, RowError("data.row-too-large", allowed=limits.row_bytes)
            else:
                yield number, decode(content, encoding)


def decode(content: bytes, encoding: str) -> str | RowError:
    """The text of a line, or why it is none."""
    if b"\0" in content:
        return RowError("data.nul-byte")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        return RowError(
            "data.bad-encoding", given=encoding, byte=f"0x{content[error.start]:02x}", column=error.start + 1
        )


def _skip_line(stream: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(SKIP_BYTES)
