"""Files to read, and what a reader makes of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jishi.core.errors import RowError
from jishi.data.sources import formats
from jishi.data.sources.limits import Limits


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[tuple[int, object]]]:
    """Write bytes under a name and read them: pairs of a line and a row, or the code of why it is refused."""

    def from_bytes(name: str, content: bytes, **limits: object) -> list[tuple[int, object]]:
        path = tmp_path / name
        path.write_bytes(content)
        found = []
        for where, raw in formats.rows(path, Limits(**limits)):
            file, _, line = where.rpartition(":")
            assert file == str(path)
            found.append((int(line), raw.code if isinstance(raw, RowError) else raw))
        return found

    return from_bytes
