"""Which files make up each part of the data a spec names."""

import re
from collections.abc import Mapping
from pathlib import Path

from jishi.core.errors import DataError
from jishi.data.sources import formats, image_folder
from jishi.data.spec import PARTS, DataSpec

_NAMES = {
    "train": "train",
    "dev": "validation",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}
_PART = re.compile(rf"({'|'.join(_NAMES)})([-_.].*)?", re.IGNORECASE)  # train.csv, train-00000-of-00002.parquet
Places = Mapping[str, list[Path]]


def find(spec: DataSpec) -> Places:
    """The files (or image folders) of each part that is given. Raises DataError where a path leads nowhere."""
    found = parts(Path(spec.train))
    if "train" not in found:
        raise DataError("data.no-train-part", path=spec.train, given=", ".join(found))
    for part, given in (("validation", spec.validation), ("test", spec.test)):
        if given is not None:
            inner = parts(Path(given))
            found[part] = inner.get(part) or inner["train"]
    return {part: found[part] for part in PARTS if part in found}


def parts(path: Path) -> dict[str, list[Path]]:
    """What a path holds by part; a file, or an image folder without parts, is all "train"."""
    if path.is_file():
        return {"train": [path]}
    if not path.is_dir():
        raise DataError("data.missing-path", path=path)
    found: dict[str, list[Path]] = {}
    for entry in sorted(path.iterdir()):
        named = _PART.fullmatch(entry.name)
        if named and (image_folder.holds_pictures(entry) if entry.is_dir() else formats.suffix(entry)):
            found.setdefault(_NAMES[named[1].lower()], []).append(entry)
    for part, entries in found.items():
        if len({formats.suffix(entry) for entry in entries}) > 1:
            raise DataError(
                "data.ambiguous-folder", path=path, part=part, given=", ".join(entry.name for entry in entries)
            )
    if found:
        return found
    if image_folder.holds_pictures(path):
        return {"train": [path]}
    raise DataError("data.no-data-in-folder", path=path, allowed=", ".join(formats.READERS))
