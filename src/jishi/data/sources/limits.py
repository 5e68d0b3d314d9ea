"""What every source is held to, and what it yields."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jishi.core.errors import RowError

Raw = Mapping[str, Any] | RowError  # a row as it stands in the file, or why it can't be read
Rows = Iterator[tuple[str, Raw]]  # with its place: "file:line"


@dataclass(frozen=True)
class Limits:
    """`row_bytes` bounds what is held of one row before it is parsed; `encoding` is "auto" or a codec."""

    row_bytes: int = 2**20
    encoding: str = "auto"
