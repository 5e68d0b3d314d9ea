"""Where an embedded model lies: a file inside an installed package, read as inert data and never imported."""

import hashlib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

from jishi.core.errors import MissingExtra, ModelError
from jishi.models import cache as kept


@dataclass(frozen=True)
class Source:
    """One package that carries the weights, and how they become a transformers folder."""

    package: str  # the distribution's name
    file: str  # the inner file, as the distribution lists it
    sha256: str  # of the inner file, checked before a byte of it is parsed
    convert: Callable[[Path, Path], None]  # (inner file, empty folder): fills the folder
    revision: int = 1  # of the converter: another number, another folder in the cache
    alone: str = ""  # how it is installed where no extra holds it, since it would bring in what is not needed

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.sha256}:{self.revision}".encode()).hexdigest()[:16]

    def find(self) -> Path | None:
        """The inner file, or None where the package is not installed."""
        try:
            path = Path(str(distribution(self.package).locate_file(self.file)))
        except PackageNotFoundError:
            return None
        return path if path.is_file() else None


@cache
def names() -> tuple[str, ...]:
    """Every embedded model, installed or not."""
    package = importlib.import_module(__package__)
    return tuple(
        sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(package.__path__) if info.name[0] != "_")
    )


def folder(name: str) -> Path:
    """The transformers folder of an embedded model, converted on first use.

    Raises MissingExtra or ModelError where its package is not installed, ModelError where the inner file is not the pinned one.
    """
    sources: tuple[Source, ...] = _module(name).SOURCES
    for source in sources:
        made = kept.root() / "embedded" / f"{name}-{source.key}"
        if made.is_dir():
            return made
    for source in sources:
        path = source.find()
        if path is not None:
            return kept.folder(f"embedded/{name}-{source.key}", lambda empty, s=source, p=path: _convert(s, p, empty))
    if sources[0].alone:
        raise ModelError("models.embedded-alone", name=name, package=sources[0].package, command=sources[0].alone)
    raise MissingExtra(sources[0].package, "embedded")


def listing() -> list[dict[str, object]]:
    """Every embedded model as plain data: its name, what it is, the package that carries it, and whether it is at hand."""
    return [_entry(name) for name in names()]


def _entry(name: str) -> dict[str, object]:
    module = _module(name)
    sources: tuple[Source, ...] = module.SOURCES
    made = any((kept.root() / "embedded" / f"{name}-{source.key}").is_dir() for source in sources)
    return {
        "kind": "base",
        "name": name,
        "about": (module.__doc__ or "").splitlines()[0],
        "licence": module.LICENCE,
        "package": sources[0].package,
        "installed": made or any(source.find() for source in sources),
    }


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__package__}.{name.replace('-', '_')}")


def _convert(source: Source, path: Path, empty: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != source.sha256:
        raise ModelError(
            "models.embedded-changed", package=source.package, path=path, given=found, allowed=source.sha256
        )
    source.convert(path, empty)
