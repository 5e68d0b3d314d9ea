"""The raw rows of any file that can be prepared, for those who only want to read them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jishi.core.errors import DataError, RowError
from jishi.data.sources import formats
from jishi.data.sources.limits import Limits


def read(path: str | Path, limits: Limits = Limits()) -> Iterator[tuple[str, Mapping[str, Any]]]:  # noqa: B008 - frozen
    """Each row with its place, lazily. Raises RowError (file:line) at the first bad one."""
    place = Path(path)
    if not place.exists():
        raise DataError("data.missing-path", path=path)
    for where, raw in formats.rows(place, limits):
        if isinstance(raw, RowError):
            raise RowError("data.bad-row", where=where, reason=raw)
        yield where, raw
