"""A model that is asked and never learns: read once a process, saved with nothing, its vectors kept from one run to the next."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy
import torch
from torch.nn import functional

from jishi.core import manifest, spec
from jishi.core.contracts import Base, Batch, Head
from jishi.core.errors import ModelError
from jishi.models import cache, environment, heads, load, tokens
from jishi.models.inference import to
from jishi.models.origin import locate
from jishi.models.spec import ModelSpec

BATCH_ROWS, BATCH_TOKENS = 64, 4096
FORMAT = 1  # of the vectors kept


@dataclass(frozen=True)
class Teacher:
    """Read it with `teacher`."""

    model: Any
    processor: Any
    base: Base
    key: str  # what its answers follow from

    def encode(self, text: str, max_length: int | None) -> numpy.ndarray:
        """The (T,) ids of a text in the teacher's vocabulary, behind the prefix it expects."""
        limit = min(max_length or self.base.max_length, self.base.max_length)
        ids: numpy.ndarray = tokens.encode(self.processor, self.base.prefix + text, max_length=limit)["input_ids"]
        return ids

    def vectors(self, rows: Sequence[numpy.ndarray]) -> numpy.ndarray:
        """The unit vectors (N, D) fp32 of rows of ids; where the same were asked for before, they are read from the disk."""
        digest = hashlib.sha256(f"{FORMAT} {self.key}".encode())
        for ids in rows:
            digest.update(len(ids).to_bytes(4, "little") + ids.astype("<i4").tobytes())
        key = f"features/{digest.hexdigest()[:32]}"  # which is bounded: see training.feature_cache
        try:
            kept = cache.folder(key, lambda empty: self._ask(rows).tofile(empty / "vectors"))
            kept.touch()
            return numpy.fromfile(kept / "vectors", numpy.float32).reshape(len(rows), -1)
        except OSError:  # the disk has no room
            return self._ask(rows)

    def _ask(self, rows: Sequence[numpy.ndarray]) -> numpy.ndarray:
        model = self.model.to("cuda") if torch.cuda.is_available() else self.model
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        found = numpy.zeros((len(rows), heads.width(model.config)), numpy.float32)
        quick = torch.autocast(model.device.type, torch.bfloat16, enabled=environment.precision() == "bf16")
        while order:
            group = order[-max(1, min(BATCH_ROWS, BATCH_TOKENS // len(rows[order[-1]]))) :]
            del order[-len(group) :]
            features = [{"input_ids": rows[row], "length": len(rows[row])} for row in group]
            batch = to(tokens.pad(features, self.processor), model.device)
            with torch.inference_mode(), quick:
                found[group] = pooled(model, batch, self.base.pooling).cpu().numpy()
        return found

    def on(self, device: torch.device) -> Any:
        """The model, where a batch is."""
        return self.model.to(device)


@lru_cache(maxsize=1)
def teacher(
    wanted: ModelSpec, fingerprint: str, architecture: str = "", settings: tuple[tuple[str, Any], ...] = ()
) -> Teacher:
    """The teacher of a spec, with the head of that architecture; in evaluation mode, nothing of it learns.

    Reading it leaves the random state as it was: a run that is gone on with reads it at another moment. Raises ModelError where
    its head is new.
    """
    base, processor, head = load.base(wanted), load.processor(wanted), Head(architecture, dict(settings))
    with torch.random.fork_rng():
        model = load.model(wanted, head, base, processor)
        torch.manual_seed(torch.initial_seed() + 1)
        again = load.model(wanted, head, base, processor) if architecture else model
    # What did not come with the folder was drawn by chance.
    if not all(map(torch.equal, model.parameters(), again.parameters())):
        raise ModelError("objectives.new-head", name=wanted.name, given=architecture)
    model.eval().requires_grad_(requires_grad=False)
    return Teacher(model, processor, base, f"{fingerprint} {spec.dump(wanted)} {base}")


def fingerprint(wanted: ModelSpec, known: str) -> str:
    """The SHA-256 of a teacher's files. Raises ModelError where it is a design, or not the one that is `known`."""
    folder = locate(wanted)
    if not isinstance(folder, Path):
        raise ModelError("objectives.untaught", name=wanted.name)
    files = sorted(file for file in folder.iterdir() if file.suffix in (".safetensors", ".json"))
    told = "".join(f"{file.name} {manifest.sha256(file)}\n" for file in files)
    found = hashlib.sha256(told.encode()).hexdigest()
    if known and found != known:
        raise ModelError("objectives.other-teacher", name=wanted.name, given=found[:12], allowed=known[:12])
    return found


def pooled(model: Any, batch: Batch, pooling: str) -> torch.Tensor:
    """The unit vectors (B, D) fp32 that a model gives the rows of a batch."""
    states = model(**batch).last_hidden_state
    return functional.normalize(heads.pool(states, batch["attention_mask"], pooling).float(), dim=-1)


@lru_cache(maxsize=2)
def numbers(processor: Any, other: Any) -> torch.Tensor:
    """(V,) the number that another tokenizer gives each token of this one. Raises ModelError where it lacks one."""
    theirs = other.get_vocab()
    ours = sorted(processor.get_vocab().items(), key=lambda entry: entry[1])
    lacking = [token for token, _ in ours if token not in theirs]
    if lacking or [number for _, number in ours] != list(range(len(ours))):
        raise ModelError("objectives.other-tokens", count=len(lacking), given=(lacking or [""])[0], of=len(ours))
    return torch.tensor([theirs[token] for token, _ in ours])
