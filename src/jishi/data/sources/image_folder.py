"""A folder of pictures: the name of the sub-folder is the label, and what lies in none has none. Hidden files are left out."""

from pathlib import Path

from jishi.core.errors import RowError
from jishi.data.sources.limits import Limits, Rows

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})


def read(path: Path, limits: Limits) -> Rows:  # noqa: ARG001 - a picture is held to the limits of its modality
    for file in sorted(filter(is_picture, path.iterdir())):
        yield str(file), {"image": str(file.absolute())}
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        for file in files(folder):
            if is_picture(file):
                yield str(file), {"image": str(file.absolute()), "label": folder.name}
            else:
                yield str(file), RowError("data.not-a-picture", given=file.suffix)


def files(folder: Path) -> list[Path]:
    """Every file below a folder that is not hidden, in order."""
    found = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in found if not any(name.startswith(".") for name in file.relative_to(folder).parts))


def holds_pictures(folder: Path) -> bool:
    """Whether there is a picture in it or in some sub-folder."""
    return any(
        any(map(is_picture, entry.rglob("*"))) if entry.is_dir() else is_picture(entry) for entry in folder.iterdir()
    )


def is_picture(path: Path) -> bool:
    """Whether it is named as one, and not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
