"""Encoded rows kept from one run to the next, under a fingerprint of all that their features follow from.

Another learning rate finds them; other rows, another field of the objective, tokenizer, or line of code does not. A file that is
not what was written is not read. The cache is bounded: what was used longest ago goes first.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow

from jishi.core import manifest, publish, spec
from jishi.core.contracts import Features, Objective, Row
from jishi.data import columns
from jishi.models import cache as kept
from jishi.training.feature_file import Misfit, Stored, Writer

FORMAT = 1
FILE = "features.arrow"
LIMIT = 4 * 2**30  # bytes of all features together
DIGESTED = 2_000  # rows at once
LIBRARIES = ("jishi", "transformers", "tokenizers", "numpy")


def place(objective: Objective, rows: Sequence[Row], processor: Any) -> Path | None:
    """Where the features of these rows are kept; None where they are pictures, or can't be told from others."""
    backend = getattr(processor, "backend_tokenizer", None)
    if backend is None or any(column.modality.binary for column in columns.inputs(objective)):
        return None
    backend.no_truncation()  # settings that each call makes anew
    backend.no_padding()
    try:
        told = {
            "format": FORMAT,
            "objective": spec.dump(objective),
            "code": [_code(name) for name in sorted({cls.__module__.split(".")[0] for cls in type(objective).__mro__})],
            "processor": [
                type(processor).__name__, processor.model_max_length, processor.model_input_names, processor.truncation_side,
                processor.split_special_tokens, processor.special_tokens_map, processor.chat_template, backend.to_str(),
            ],
            "rows": _digest(rows),
            "versions": {name: version(name) for name in LIBRARIES},
        }  # fmt: skip
        written = json.dumps(told, sort_keys=True)
    except (KeyError, TypeError, ValueError, OSError):  # no plugin's class, or rows that are not plain
        return None
    return kept.root() / "features" / hashlib.sha256(written.encode()).hexdigest()[:32]


def find(folder: Path | None) -> Stored | None:
    """The features kept in a folder; None where there are none, or the file is not what was written."""
    if folder is None or not folder.is_dir() or any(manifest.faults(folder).values()):
        return None
    try:
        folder.touch()  # used now
        return Stored(folder / FILE)
    except (OSError, ValueError, KeyError):  # removed meanwhile
        return None


@contextmanager
def recording(folder: Path | None) -> Iterator[Callable[[Features], None]]:
    """Hands out what takes features in their order; they are published when the block ends well.

    Features that don't fit, or for which the disk has no room, are not kept: no error, they are only encoded again.
    """
    writing = _writing(folder) if folder else None

    def take(features: Features | None) -> None:
        nonlocal writing
        try:
            if writing:
                writing.send(features)
        except (Misfit, OSError, StopIteration):
            writing = None

    take(None)
    try:
        yield take
        take(None)
    finally:
        if writing:
            writing.close()


def _writing(folder: Path) -> Generator[None, Features | None, None]:
    """Is sent features, None after the last."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with publish.folder(folder) as fresh:
        with Writer(fresh / FILE) as writer:
            while (features := (yield)) is not None:
                writer.add(features)
        manifest.seal(fresh)
    _clear(folder)


def _clear(newest: Path) -> None:
    """Remove what was used longest ago, and what killed writers left, until the limit holds; never the newest."""
    sizes, used = {}, {}
    for folder in newest.parent.iterdir():
        sizes[folder] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        used[folder] = folder.stat().st_mtime
    total = sum(sizes.values())
    for folder in sorted(sizes.keys() - {newest}, key=used.__getitem__):
        if total <= LIMIT:
            return
        shutil.rmtree(folder, ignore_errors=True)
        total -= sizes[folder]


def _digest(rows: Sequence[Row]) -> str:
    """What the rows say; those of a file as its bytes, which need not be made rows for it."""
    found = hashlib.sha256()
    if hasattr(rows, "with_format"):
        for table in rows.with_format("arrow").iter(DIGESTED):
            sink = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
            found.update(sink.getvalue())
        return found.hexdigest()
    for row in rows:
        found.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return found.hexdigest()


@cache
def _code(name: str) -> str:
    """The digest of a package's source, or of a module's. Raises TypeError where it has none."""
    module = sys.modules[name]
    folders, file = getattr(module, "__path__", None), getattr(module, "__file__", None)
    if name in sys.stdlib_module_names:
        return ""
    if not folders and not file:
        raise TypeError(name)
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.py")) if folders else [Path(file)]
    found = hashlib.sha256()
    for path in files:
        found.update(path.read_bytes())
    return found.hexdigest()
