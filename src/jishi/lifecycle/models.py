"""List what can be started from, and what has been made."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jishi.core import bundle
from jishi.models import embedded


def models(folder: Path) -> list[dict[str, Any]]:
    """Base models at hand ("base"), then every bundle below `folder` ("bundle"), newest first."""
    bundles = sorted(folder.rglob(bundle.RECORD), key=lambda file: file.stat().st_mtime, reverse=True)
    return [*embedded.listing(), *(entry for file in bundles for entry in _entry(file))]


def _entry(file: Path) -> Iterator[dict[str, Any]]:
    """What a record says of its bundle; nothing of one still being written, or of a file that is no record."""
    if file.parent.name.startswith("."):
        return
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        yield {
            "kind": "bundle",
            "name": str(file.parent),
            "task": record["task"]["name"],
            "base": record["model"]["base"],
            "scores": {name: value for name, value in record["scores"].items() if isinstance(value, dict)},
            "created": record["created"],
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
