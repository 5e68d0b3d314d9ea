"""Parquet: batches of rows, by row number from 1. A picture stored as {bytes, path}, as the Hub does, is its bytes."""

from pathlib import Path
from typing import Any

from jishi.core.errors import DataError, LimitError
from jishi.data.sources.limits import Limits, Rows

BATCH_ROWS = 256
MAX_GROUP_BYTES = 4 * 2**30  # uncompressed; a row group is what a reader may have to hold at once


def read(path: Path, limits: Limits) -> Rows:  # noqa: ARG001 - a row's size is known only once it is read
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = (file.metadata.row_group(index) for index in range(file.metadata.num_row_groups))
            largest = max((group.total_byte_size for group in groups), default=0)
            if largest > MAX_GROUP_BYTES:
                raise LimitError("data.row-group-too-large", path=path, given=largest, allowed=MAX_GROUP_BYTES)
            number = 0
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", {name: _plain(value) for name, value in row.items()}
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError("data.unreadable-file", path=path, reason=str(error).splitlines()[0]) from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"bytes", "path"}:
        return value["bytes"] if value["bytes"] is not None else value["path"]
    return value
