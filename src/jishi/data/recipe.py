"""What a prepared folder is made from: the sources by content, the spec, the task. Equal recipes give equal folders."""

import hashlib
import json
from pathlib import Path
from typing import Any

from jishi.core import manifest
from jishi.core import spec as specs
from jishi.core.contracts import Objective
from jishi.data.dataset import FORMAT
from jishi.data.places import Places
from jishi.data.sources import image_folder
from jishi.data.spec import DataSpec

Source = dict[str, Any]


def sources(places: Places) -> list[Source]:
    """Every source with its part, size in bytes and SHA-256; an image folder counts by the names and contents of its files."""
    return [{"part": part, "path": str(path), **_digest(path)} for part, paths in places.items() for path in paths]


def recipe(found: list[Source], spec: DataSpec, objective: Objective) -> str:
    """SHA-256 of all that decides what is prepared."""
    return _hash([FORMAT, found, specs.dump(spec), specs.dump(objective)])


def _digest(path: Path) -> dict[str, Any]:
    if path.is_file():
        return {"bytes": path.stat().st_size, "sha256": manifest.sha256(path)}
    files = image_folder.files(path)
    names = [(file.relative_to(path).as_posix(), manifest.sha256(file)) for file in files]
    return {"bytes": sum(file.stat().st_size for file in files), "sha256": _hash(names)}


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
