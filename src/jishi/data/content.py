"""What a row is, apart from where it stands: a number for its input (equal inputs are duplicates) and one for all of it."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jishi.core import manifest
from jishi.core.contracts import Row
from jishi.core.errors import RowError
from jishi.data.columns import Column

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class Content(NamedTuple):
    """`input` and `whole` are 64-bit hashes of what a row says, the same on every machine; `size` is in bytes."""

    input: int
    whole: int
    size: int
    labels: tuple[str, ...]  # sorted, each once; a text to be written or found is none
    single: bool  # whether its targets are one label each, not a set or sequence of them
    empty: bool  # no input column holds anything
    copied: bool  # a target is the text of an input


def describe(row: Row, columns: Sequence[Column], *, labelled: bool = True) -> Content:
    """The content of a canonical row; a file counts by its bytes, not by its path. Raises RowError for text that is none.

    `labelled` says whether the targets are labels, not texts to be written or found.
    """
    names = {column.name for column in columns}
    targets = {key: value for key, value in row.items() if key not in names}
    try:
        inputs = [_bytes_of(row.get(column.name), column) for column in columns]
        rest = _json(targets)
    except UnicodeEncodeError:
        raise RowError("data.bad-unicode") from None
    joined = b"\0".join(inputs)
    if joined.count(b"\0") >= len(columns) or b"\\u0000" in rest:
        raise RowError("data.nul-byte")
    digest = hashlib.blake2b(joined, digest_size=8)
    input_number = digest.digest()
    digest.update(b"\0\0" + rest)
    return Content(
        input=int.from_bytes(input_number, "little"),
        whole=int.from_bytes(digest.digest(), "little"),
        size=len(rest)
        + sum(_size(row.get(column.name), len(value)) for column, value in zip(columns, inputs, strict=True)),
        labels=tuple(sorted(set(_labels(targets)))) if labelled else (),
        single=labelled and bool(targets) and all(isinstance(value, str) for value in targets.values()),
        empty=not any(value.strip() for value in inputs),
        copied=any(value.encode() in inputs for value in targets.values() if isinstance(value, str)),
    )


def _bytes_of(value: Any, column: Column) -> bytes:
    if value is None:
        return b""
    if column.modality.binary:
        if isinstance(value, bytes):
            return hashlib.sha256(value).hexdigest().encode()
        try:
            return manifest.sha256(Path(value)).encode()
        except OSError:
            raise RowError("data.missing-file", path=value) from None
    return value.encode() if isinstance(value, str) else _json(value)


def _size(value: Any, length: int) -> int:
    return len(value) if isinstance(value, bytes) else length


def _json(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()


def _labels(value: Any) -> Iterator[str]:
    """Every string among the targets: a label, the labels of a list, the labels of spans."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _labels(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _labels(inner)
