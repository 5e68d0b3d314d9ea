"""A folder of pictures in sub-folders: the name of the sub-folder is the label. Hidden files are left out."""

from pathlib import Path

from jishi.core.errors import RowError
from jishi.data.sources.limits import Limits, Rows

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})


def read(path: Path, limits: Limits) -> Rows:  # noqa: ARG001 - a picture is held to the limits of its modality
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        for file in files(folder):
            if file.suffix.lower() in SUFFIXES:
                yield str(file), {"image": str(file.absolute()), "label": folder.name}
            else:
                yield str(file), RowError("data.not-a-picture", given=file.suffix)


def files(folder: Path) -> list[Path]:
    """Every file below a folder that is not hidden, in order."""
    found = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in found if not any(name.startswith(".") for name in file.relative_to(folder).parts))


def holds_pictures(folder: Path) -> bool:
    """Whether some sub-folder holds a picture."""
    return any(
        entry.is_dir() and any(file.suffix.lower() in SUFFIXES for file in entry.rglob("*"))
        for entry in folder.iterdir()
    )
