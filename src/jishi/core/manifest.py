"""The SHA-256 of every file of a folder, so that a damaged one is named before it is used."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

MANIFEST = "MANIFEST.json"


def sha256(file: Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(values: Mapping[str, str]) -> str:
    """One SHA-256 for many named ones."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def seal(folder: Path) -> None:
    """Write the manifest of what the folder holds now."""
    digests = {name: sha256(folder / name) for name in sorted(_files(folder))}
    (folder / MANIFEST).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")


def faults(folder: Path) -> dict[str, list[str]]:
    """What does not agree with the manifest: names of files "damaged", "missing" or "unlisted"; all empty where all is well.

    A manifest that can't be read is itself the damaged file.
    """
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected = {str(name): str(digest) for name, digest in listed.items()}
    except (OSError, ValueError, AttributeError):
        return {"damaged": [MANIFEST], "missing": [], "unlisted": []}
    found = _files(folder)
    common = sorted(found & set(expected))
    return {
        "damaged": [name for name in common if not _intact(folder / name, expected[name])],
        "missing": sorted(set(expected) - found),
        "unlisted": sorted(found - set(expected)),
    }


def _intact(file: Path, digest: str) -> bool:
    try:
        return sha256(file) == digest
    except OSError:  # a link to nowhere, or to a folder
        return False


def _files(folder: Path) -> set[str]:
    files = (file for file in folder.rglob("*") if file.is_symlink() or not file.is_dir())
    return {file.relative_to(folder).as_posix() for file in files} - {MANIFEST}
