"""Which reader a file's name asks for."""

from collections.abc import Callable, Mapping
from pathlib import Path

from jishi.core.errors import DataError
from jishi.data.sources import arrow, delimited, image_folder, json_array, jsonl, lines, nested, parquet
from jishi.data.sources.limits import Limits, Rows

READERS: Mapping[str, Callable[[Path, Limits], Rows]] = {
    ".jsonl": jsonl.read,
    ".ndjson": jsonl.read,
    ".json": json_array.read,
    ".csv": delimited.read_csv,
    ".tsv": delimited.read_tsv,
    ".txt": lines.read,
    ".parquet": parquet.read,
    ".arrow": arrow.read,
}
BINARY = frozenset({".parquet", ".arrow"})  # compressed within: no .gz around them


def suffix(path: Path) -> str | None:
    """The ending that names the format, ".gz" left aside; None where no reader knows it."""
    zipped = path.suffix.lower() == ".gz"
    ending = Path(path.stem).suffix.lower() if zipped else path.suffix.lower()
    return ending if ending in READERS and not (zipped and ending in BINARY) else None


def rows(path: Path, limits: Limits) -> Rows:
    """Every row of a file or image folder, lazily. Raises DataError where the file is none, or empty."""
    if path.is_dir():
        return image_folder.read(path, limits)
    ending = suffix(path)
    if ending is None:
        raise DataError("data.unknown-format", path=path, allowed=", ".join(READERS))
    if path.stat().st_size == 0:
        raise DataError("data.empty-file", path=path)
    return nested.rows(READERS[ending](path, limits))
