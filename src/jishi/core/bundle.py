"""The bundle: one folder that is the trained model, and can prove it.

A transformers folder (weights as safetensors, config, processor) plus `jishi.json` (the record: task, transforms, data
fingerprints, scores, versions), `probes.jsonl` (inputs with the answers recorded at training), `README.md` (the model card)
and `MANIFEST.json` (SHA-256 of every other file). Nothing in it is ever executed or unpickled.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError

from jishi.core import manifest, publish, spec
from jishi.core.contracts import Adaptation, Objective, Task
from jishi.core.document import Document
from jishi.core.errors import BundleError

# 2: what an adaptation could not fold in lies beside the model; 3: or its base lies elsewhere; 4: graphs; 5: two of them
FORMAT = 5
RECORD = "jishi.json"
PROBES = "probes.jsonl"
CARD = "README.md"


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk: `record` is `jishi.json`, `probes` the recorded answers ({"row", "prediction", "outputs"})."""

    path: Path
    record: Mapping[str, Any]
    probes: Sequence[Mapping[str, Any]]

    @property
    def objective(self) -> Objective:
        """What the model was trained for, with its labels, prefix and temperature as trained."""
        return cast(Objective, spec.plugin(Objective, Document(self.record["task"], str(self.path / RECORD))))

    @property
    def task(self) -> Task:
        """The objective as one that can answer; a pretrained base can't, and says so."""
        objective = self.objective
        if not isinstance(objective, Task):
            raise BundleError("core.bundle-no-task", path=self.path, given=self.record["task"]["name"])
        return objective

    @property
    def adaptation(self) -> Adaptation | None:
        """How the weights were trained; None where the record does not say."""
        said = self.record.get("adaptation")
        return said and cast(Adaptation, spec.plugin(Adaptation, Document(said, str(self.path / RECORD))))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the manifest: the bundle's identity."""
        return manifest.sha256(self.path / manifest.MANIFEST)


def write(
    path: Path, *, model: Any, processor: Any, record: Mapping[str, Any], probes: Sequence[Mapping[str, Any]], card: str
) -> Bundle:
    """Write a bundle whole or not at all, and read it back verified. `record["task"]` is the dumped task.

    Raises BundleError where the disk does not take it; nothing is left behind then.
    """
    with publishing(path) as folder:
        fill(folder, model, processor)
        describe(folder, record, probes, card)
    return read(path)


@contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """A folder to make a bundle in: it is published where the block ends well, and leaves nothing behind where it does not.

    Raises BundleError where the disk does not take it.
    """
    try:
        with publish.folder(path) as folder:
            yield folder
    except (OSError, SafetensorError) as error:  # a full disk is the one or the other
        reason = getattr(error, "strerror", None) or error
        raise BundleError("core.bundle-not-written", path=path, reason=reason) from error


def fill(folder: Path, model: Any, processor: Any) -> None:
    """What answers, into a folder. There is no processor where the record names a base, which has it."""
    model.save_pretrained(folder, safe_serialization=True)
    if processor is not None:
        processor.save_pretrained(folder)


def describe(folder: Path, record: Mapping[str, Any], probes: Sequence[Mapping[str, Any]], card: str) -> None:
    """What is known of it, in the place of what was said before; all files are sealed."""
    (folder / RECORD).write_text(_json({**record, "format": FORMAT}) + "\n", encoding="utf-8")
    (folder / PROBES).write_text("".join(_line(probe) + "\n" for probe in probes), encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")
    manifest.seal(folder)


def read(path: str | Path, *, verify: bool = True) -> Bundle:
    """The bundle at `path`. Raises BundleError naming the damaged, missing or unlisted file."""
    folder = Path(path)
    for name in (RECORD, manifest.MANIFEST):
        if not (folder / name).is_file():
            raise BundleError("core.bundle-not-found", path=path, file=name)
    if verify:
        _verify(folder)
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        probes = [json.loads(line) for line in (folder / PROBES).read_text(encoding="utf-8").splitlines()]
        newer = record["format"] > FORMAT
    except (OSError, ValueError, TypeError, KeyError):
        raise BundleError("core.bundle-damaged", path=path, file=RECORD) from None
    if newer:
        raise BundleError("core.bundle-newer", path=path, given=record["format"], allowed=FORMAT)
    return Bundle(folder, record, probes)


def _verify(folder: Path) -> None:
    faults = manifest.faults(folder)
    for code, kind in (("damaged", "damaged"), ("missing-file", "missing"), ("unlisted-file", "unlisted")):
        for name in faults[kind]:
            raise BundleError(f"core.bundle-{code}", path=folder, file=name)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
