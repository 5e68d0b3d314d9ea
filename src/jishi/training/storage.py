"""A run directory kept at a URL (fsspec): training works in a local folder, and what it publishes is copied to the store.

What stands in the store counts; the local folder is a working copy. A folder's manifest is copied last, so one that was cut off
has none, or one that its files do not agree with, and is passed over.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from jishi.core import manifest, publish
from jishi.core.errors import JishiError, TrainingError
from jishi.models import cache

CHECKPOINTS = "checkpoints"
STEPS = "step-*"


@dataclass(frozen=True)
class Store:
    """The place of one run: `root` of a file system, and the local `folder` it is a copy of."""

    url: str
    files: Any  # the fsspec file system
    root: str
    folder: Path

    @classmethod
    def of(cls, out: str, folder: Path | None = None) -> "Store | None":
        """The store of an `out` that is a URL, with a working copy in `folder` or in the cache; None for a plain path."""
        if "://" not in out:
            return None
        import fsspec

        with _told(out):
            files, root = fsspec.core.url_to_fs(out)
        name = hashlib.sha256(out.rstrip("/").encode()).hexdigest()[:16]
        return cls(out, files, root.rstrip("/"), folder or cache.root() / "runs" / name)

    def begin(self, names: Sequence[str], *, resume: bool) -> None:
        """Clear the working copy and take the files `names` from the store; without `resume`, clear the store too."""
        for name in (CHECKPOINTS, *names):
            _remove(self.folder / name)
        with _told(self.url):
            self.files.invalidate_cache()
            for name in () if resume else (CHECKPOINTS, *names):
                if self.files.exists(self._at(name)):
                    self.files.rm(self._at(name), recursive=True)
            for name in names:
                if self.files.exists(self._at(name)):
                    self.files.get_file(self._at(name), str(self.folder / name))

    def put_files(self) -> None:
        """Copy the files of the run: spec, metrics, status, and the report once there is one."""
        with _told(self.url):
            self.files.makedirs(self.root, exist_ok=True)
            for file in self.folder.iterdir():
                if file.is_file() and not file.name.startswith("."):
                    self.files.put_file(str(file), self._at(file.name))

    def put(self, folder: Path) -> None:
        """Publish a sealed folder of the run; the log of what led to it goes first."""
        self.put_files()
        name = folder.relative_to(self.folder).as_posix()
        files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        with _told(self.url):
            if self.files.exists(self._at(name)):
                self.files.rm(self._at(name), recursive=True)
            for file in sorted(files, key=lambda file: file == manifest.MANIFEST):
                self.files.makedirs(str(PurePosixPath(self._at(name, file)).parent), exist_ok=True)
                self.files.put_file(str(folder / file), self._at(name, file))

    def get(self, folder: Path) -> bool:
        """Bring a sealed folder of the run here, unless it stands here already; False where the store has none that verifies."""
        with _told(self.url):
            self.files.invalidate_cache()
            at = self._at(folder.relative_to(self.folder).as_posix())
            seal = f"{at}/{manifest.MANIFEST}"
            if not self.files.exists(seal):
                return False
            here = folder / manifest.MANIFEST
            if here.is_file() and here.read_bytes() == self.files.cat_file(seal) and not _damaged(folder):
                return True
            try:
                with publish.folder(folder) as fresh:
                    self._fill(fresh, at)
            except _Damaged:
                return False
        return True

    def get_newest(self) -> list[Path]:
        """Bring the newest checkpoint that verifies here; the damaged ones passed over on the way."""
        damaged: list[Path] = []
        with _told(self.url):
            self.files.invalidate_cache()
            found = self.files.glob(self._at(CHECKPOINTS, STEPS))
        for name in sorted((PurePosixPath(path).name for path in found), reverse=True):
            path = self.folder / CHECKPOINTS / name
            if self.get(path):
                break
            damaged.append(path)
        return damaged

    def prune(self, keep: set[Path]) -> None:
        """Remove the checkpoints that are not to be kept."""
        names = {path.name for path in keep}
        with _told(self.url):
            self.files.invalidate_cache()
            for path in self.files.glob(self._at(CHECKPOINTS, STEPS)):
                if PurePosixPath(path).name not in names:
                    self.files.rm(path, recursive=True)

    def _at(self, *parts: str) -> str:
        return "/".join((self.root, *parts))

    def _fill(self, fresh: Path, at: str) -> None:
        """Fetch every file below `at` into a folder. Raises _Damaged where they are not those of the manifest."""
        for path in self.files.find(at):
            name = PurePosixPath(path).relative_to(PurePosixPath(at))
            if ".." in name.parts:  # a store is no reason to write elsewhere
                raise _Damaged
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            self.files.get_file(path, str(fresh / name))
        if _damaged(fresh):
            raise _Damaged


class _Damaged(Exception):
    """A folder of the store is not what its manifest says."""


def _damaged(folder: Path) -> bool:
    return any(manifest.faults(folder).values())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What goes wrong with a store becomes one sentence, whatever the library behind it raises."""
    try:
        yield
    except (JishiError, _Damaged):
        raise
    except ImportError as error:
        raise TrainingError("training.store-library", url=url, reason=error) from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TrainingError("training.store-fails", url=url, reason=reason) from error
