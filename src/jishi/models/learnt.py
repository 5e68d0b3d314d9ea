"""An adapter: what was learnt beside a base that lies elsewhere, as the files that peft reads.

A bundle may hold it in the place of a whole model. The base is named in the bundle's record, with the SHA-256 of what it knows;
to read the bundle, the model is made of that base as for training, adapted anew and given what was learnt. Models of one base
may hold its weights together (`Shared`).
"""

import copy
import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from jishi.core import manifest
from jishi.core.bundle import Bundle
from jishi.core.document import Document
from jishi.core.errors import ModelError, UnknownName
from jishi.core.spec import build
from jishi.models import adapters, dual, heads
from jishi.models.folder import LEARNT, size
from jishi.models.origin import locate
from jishi.models.shared import Shared
from jishi.models.spec import ModelSpec

KNOWS = (
    "*.safetensors",
    "tokenizer.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)  # what a base has learnt, words included
OWN = ("vocabulary", "layers", "tokenizer")  # options that make another base of the one named
MOST = 0.5  # the share of the weights above which what learnt is no small thing beside a base


@dataclass(frozen=True)
class Learnt:
    """An adapted model, saved as what it learnt; `base` is the name by which others find the rest."""

    model: Any
    base: str

    def save_pretrained(self, folder: Path, **_options: Any) -> None:
        """Write the adapter and the configuration of the model with its head; of a method of peft, its configuration too."""
        found = {name: value.detach().clone() for name, value in weights(self.model).items()}
        (folder / LEARNT).write_bytes(save(found, {"format": "pt"}))
        inner = plain(self.model)
        config = copy.deepcopy(inner.config)
        config.architectures = [type(inner).__name__]
        config.save_pretrained(folder)
        for said in getattr(self.model, "peft_config", {}).values():
            said = copy.deepcopy(said)
            said.base_model_name_or_path = self.base
            said.inference_mode = True
            said.modules_to_save = sorted(heads.fresh(inner)) or None
            said.save_pretrained(folder)


def weights(model: Any) -> dict[str, torch.Tensor]:
    """What an adapted model learnt: the very tensors that learn and the statistics it keeps, by the names peft reads."""
    still = {name for name, weight in model.named_parameters(remove_duplicate=False) if not weight.requires_grad}
    found = {name: value for name, value in model.state_dict().items() if name not in still}
    if not hasattr(model, "peft_config"):
        return found
    import peft

    said = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    names = {value.data_ptr(): name for name, value in said.items()}
    return {names.get(value.data_ptr(), name): value for name, value in found.items()}


def size_of(model: Any) -> int:
    """Bytes of what an adapted model learnt."""
    return sum(value.nbytes for value in weights(model).values())


def plain(model: Any) -> Any:
    """The model that answers, out of what peft put around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def check_base(spec: ModelSpec) -> None:
    """Raises ModelError where an adapter could not name its base: it is no folder as it lies."""
    given = next((f"{key}={getattr(spec, key)}" for key in OWN if getattr(spec, key) != getattr(ModelSpec, key)), None)
    if given is None and (spec.name == dual.NAME or not isinstance(locate(spec), Path)):
        given = f"name={spec.name}"
    if given is not None:
        raise ModelError("models.no-base-apart", given=given)


def check_size(model: Any) -> None:
    """Raises ModelError where most of the weights learn, so that what is learnt is no small thing beside a base."""
    count = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    whole = sum(weight.numel() for weight in model.parameters())
    if count > MOST * whole:
        raise ModelError("models.too-much-learns", given=f"{count:,}", whole=f"{whole:,}")


def base(spec: ModelSpec, bundle: Path) -> dict[str, Any]:
    """What the record of a bundle says of its base; a folder is named as it is reached from the bundle."""
    folder = Path(str(locate(spec)))
    near = Path(spec.name).expanduser().is_dir()
    name = os.path.relpath(folder, bundle) if near else spec.name
    return {"name": name, "sha256": fingerprint(folder), "bytes": size(folder)}


def find(read: Bundle) -> ModelSpec:
    """What the model of a bundle is made of, its base where it lies now. Raises ModelError where that is gone or another."""
    said = read.record["base"]
    made = {key: value for key, value in read.record["model"].items() if key != "base"}
    spec = build(ModelSpec, Document(made, str(read.path)))
    near = read.path / said["name"]
    found = replace(spec, name=str(near)) if near.is_dir() else spec
    try:
        folder = Path(str(locate(found)))
    except UnknownName:
        raise ModelError("models.base-missing", path=read.path, base=spec.name, place=near) from None
    if (given := fingerprint(folder)) != said["sha256"]:
        short = {"given": given[:12], "allowed": said["sha256"][:12]}
        raise ModelError("models.base-changed", path=read.path, base=folder, **short)
    return found


def fingerprint(folder: Path) -> str:
    """SHA-256 of what a base knows: its weights and its words, whatever else lies there."""
    files = sorted({file for pattern in KNOWS for file in folder.glob(pattern)})
    return manifest.digest({file.name: _digest(file, *_stamp(file)) for file in files})


def adapted(read: Bundle, built: Any, shared: Shared | None) -> Any:
    """The model of a bundle that holds an adapter, of its base with a fresh head. Raises ModelError where it doesn't fit."""
    came = [(name.removeprefix(f"{built.base_model_prefix}."), weight) for name, weight in built.named_parameters()]
    model = put_on(read, built)
    if shared is not None:
        shared.give(read.record["base"]["sha256"], {id(weight): name for name, weight in came}, model)
    return plain(model)


def put_on(read: Bundle, built: Any) -> Any:
    """The adapted model as it was trained, ready to be merged. Raises ModelError where what was learnt doesn't fit."""
    model = read.adaptation.apply(built, read.objective)  # type: ignore[union-attr]
    adapters.put(weights(model), read.path / LEARNT)
    return model


def _stamp(file: Path) -> tuple[int, int]:
    said = file.stat()
    return said.st_size, said.st_mtime_ns


@cache
def _digest(file: Path, *_stamp: int) -> str:
    """Worked out once for every state of a file."""
    return manifest.sha256(file)
