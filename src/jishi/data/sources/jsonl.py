"""JSON Lines: one object a line; blank lines are no rows."""

from pathlib import Path

from jishi.core.errors import RowError
from jishi.data.sources import json_value
from jishi.data.sources.limits import Limits, Rows
from jishi.data.sources.stream import lines


def read(path: Path, limits: Limits) -> Rows:
    for number, line in lines(path, limits):
        if isinstance(line, RowError):
            yield f"{path}:{number}", line
        elif line and not line.isspace():
            yield f"{path}:{number}", json_value.row(line)
