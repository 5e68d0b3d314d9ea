"""One part of a folder made by `prepare`, read again as raw rows, by row number from 1."""

from pathlib import Path

from jishi.core.errors import DataError
from jishi.data.sources.limits import Limits, Rows


def read(path: Path, limits: Limits) -> Rows:  # noqa: ARG001 - the rows were held to limits when they were prepared
    import pyarrow

    try:
        with pyarrow.memory_map(str(path)) as file, pyarrow.ipc.open_stream(file) as stream:
            number = 0
            for batch in stream:
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", row
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError("data.unreadable-file", path=path, reason=str(error).splitlines()[0]) from error
