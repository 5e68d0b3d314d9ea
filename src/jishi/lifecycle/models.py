"""List what can be started from, and what has been made."""

import json
from pathlib import Path
from typing import Any

from jishi.core import bundle
from jishi.models import embedded


def models(folder: Path) -> list[dict[str, Any]]:
    """Base models at hand ("base"), then every bundle below `folder` ("bundle"), newest first."""
    bundles = sorted(folder.rglob(bundle.RECORD), key=lambda file: file.stat().st_mtime, reverse=True)
    return [*embedded.listing(), *(_entry(file) for file in bundles)]


def _entry(file: Path) -> dict[str, Any]:
    record = json.loads(file.read_text(encoding="utf-8"))
    return {
        "kind": "bundle",
        "name": str(file.parent),
        "task": record["task"]["name"],
        "base": record["model"]["base"],
        "scores": {name: value for name, value in record["scores"].items() if isinstance(value, dict)},
        "created": record["created"],
    }
