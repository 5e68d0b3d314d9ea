"""The run directory: one execution, with all that is needed to read it, resume it and trust it.

spec.yaml       the spec, every default filled in       checkpoints/  resumable states: the best and the last
metrics.jsonl   every event of training                 data/         the prepared rows
progress.html   the page to watch meanwhile             probes/       those of linear probes
run.json        status, figures, versions               rounds/       trainings before the last, where there are several
unlabelled.json what became of rows without labels      bundle/       the trained model
evaluation.json the full evaluation                     report.html   the page to read
"""

import errno
import fcntl
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from jishi.core import publish
from jishi.core.errors import JishiError, TrainingError
from jishi.training.storage import Store

SPEC, METRICS, STATUS, ROUNDS = "spec.yaml", "metrics.jsonl", "run.json", "rounds"
# What may change between the start of a run and its continuation.
FREE = frozenset({"resume", "out", "evaluate", "on"})
FREE_IN = {"train": frozenset({"devices", "shard"})}
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
DENIED = (errno.EACCES, errno.EPERM)


class Run:
    """One open run directory; `with Run.open(…)` holds its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, spec: Mapping[str, Any], *, resume: bool, store: Store | None = None
    ) -> Iterator["Run"]:
        """Lock the directory and settle whether its earlier state, or that of its `store`, is gone on with or cleared away."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / ".lock").open("w")
        except OSError as error:
            raise TrainingError("training.run-not-writable", path=folder, reason=error.strerror) from None
        with lock, _told(folder):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TrainingError("training.run-busy", path=folder) from None
            run = cls(folder)
            if store:
                store.begin((SPEC, METRICS), resume=resume)
            run._settle(spec, resume)
            publish.write_text(folder / SPEC, yaml.safe_dump(dict(spec), allow_unicode=True, sort_keys=False))
            run.status("running")
            try:
                yield run
            except BaseException as error:
                # A disk that takes nothing takes no status either; what went wrong first is told.
                with suppress(OSError, JishiError):
                    run.status("failed", error=type(error).__name__)
                    if store:
                        store.put_files()
                raise
            if store:
                store.put_files()

    def _settle(self, spec: Mapping[str, Any], resume: bool) -> None:
        for folder in (self.folder, self.folder / "checkpoints", *self.folder.glob(f"{ROUNDS}/*/checkpoints")):
            publish.sweep(folder)
        if not resume:
            for name in ("checkpoints", "data", "probes", ROUNDS):
                shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / METRICS).unlink(missing_ok=True)
        elif (self.folder / SPEC).is_file():
            old = yaml.safe_load((self.folder / SPEC).read_text(encoding="utf-8"))
            changed = [key for key in {*old, *spec} - FREE if _fixed(key, old.get(key)) != _fixed(key, spec.get(key))]
            if changed:
                raise TrainingError("training.run-other-spec", path=self.folder, given=", ".join(sorted(changed)))

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one event; when training goes on from a checkpoint, the events after it are taken back first."""
        if kind == "start":
            before = self.events() if step else []  # what comes before the first step is done, and told, again
            kept = [event for event in before if event["step"] <= step and event["kind"] != "start"]
            publish.write_text(self.folder / METRICS, "".join(json.dumps(event) + "\n" for event in kept))
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")

    def events(self) -> list[dict[str, Any]]:
        """Every event logged so far; a torn last line (a crash while writing) is left out."""
        path = self.folder / METRICS
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file of the run."""
        publish.write_text(self.folder / name, json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def status(self, status: str, **values: Any) -> None:
        """Set `run.json`: "running", "failed", "interrupted" or "complete", with the versions it ran on."""
        self.write(
            STATUS, {"status": status, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "versions": versions(), **values}
        )


def _fixed(key: str, value: Any) -> Any:
    """What of a spec's value must be the same when a run goes on."""
    free = FREE_IN.get(key, frozenset())
    return {name: inner for name, inner in value.items() if name not in free} if isinstance(value, Mapping) else value


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """A disk that is full or failing, and a run directory that may not be written, become one sentence."""
    try:
        yield
    except OSError as error:
        inside = error.filename and Path(os.fsdecode(error.filename)).absolute().is_relative_to(folder.absolute())
        if error.errno not in DISK and not (inside and error.errno in DENIED):
            raise
        raise TrainingError("training.run-not-writable", path=folder, reason=error.strerror) from error


@cache
def versions() -> dict[str, str]:
    """The versions that answers depend on."""
    libraries = ("jishi", "torch", "transformers", "tokenizers", "peft", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}
