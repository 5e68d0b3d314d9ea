"""Plain text: every line that is not blank is a row with the one column "text"."""

from pathlib import Path

from jishi.core.errors import RowError
from jishi.data.sources import stream
from jishi.data.sources.limits import Limits, Rows


def read(path: Path, limits: Limits) -> Rows:
    for number, line in stream.lines(path, limits):
        if isinstance(line, RowError):
            yield f"{path}:{number}", line
        elif line and not line.isspace():
            yield f"{path}:{number}", {"text": line}
