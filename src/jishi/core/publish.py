"""Publish a folder or a file whole or not at all: written beside its place, flushed to disk, then renamed into it."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART, OLD = ".part.", ".old."  # in the names of what is being written, and of what is moved aside
_LEFT = re.compile(rf"\.(?P<name>.+)({re.escape(PART)}|{re.escape(OLD)})\w+")


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` to fill; it takes the name when the block ends well, and is removed when it does not.

    A folder that already stands at `path` is replaced.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}{PART}", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        for file in temporary.rglob("*"):
            _flush(file)
        _flush(temporary)
        _replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _flush(path.parent)


def write_text(path: Path, content: str) -> None:
    """Replace a file's content atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}{PART}", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Clear away what a writer that was killed left in a folder; what it had moved aside goes back where nothing came after.

    Only for who knows that no other writer is at work there.
    """
    for left in sorted(folder.glob(f".*{OLD}*")):
        found = _LEFT.fullmatch(left.name)
        if found and (left / "old").exists() and not (folder / found["name"]).exists():
            (left / "old").rename(folder / found["name"])
    for left in folder.glob(".*"):
        if _LEFT.fullmatch(left.name):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _replace(temporary: Path, path: Path) -> None:
    """Rename over `path`; a folder in the way is moved aside first and removed last, so that one of the two always stands."""
    if not path.exists():
        temporary.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}{OLD}", dir=path.parent)) / "old"
    path.rename(old)
    try:
        temporary.rename(path)
    except BaseException:
        old.rename(path)
        raise
    finally:
        shutil.rmtree(old.parent, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
