"""Folders made once and kept: each appears whole under its name, or not at all, whoever else makes it at the same time."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def root() -> Path:
    """Where made folders are kept: `JISHI_CACHE`, else `~/.cache/jishi`."""
    return Path(os.environ.get("JISHI_CACHE") or Path.home() / ".cache" / "jishi")


def folder(key: str, make: Callable[[Path], None]) -> Path:
    """The folder of a key, which names its content (a hash is part of it); `make` fills an empty one where there is none."""
    target = root() / key
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        make(fresh)
        _sync(fresh)
        try:
            fresh.rename(target)
        except OSError:
            if not target.is_dir():  # not merely that another process was faster
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def _sync(made: Path) -> None:
    """What the rename publishes is on the disk first."""
    for path in made.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
