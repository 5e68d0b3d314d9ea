"""Read a transformers folder without letting anything pass in silence: only a new head may be missing from it."""

from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from jishi.core.errors import ModelError
from jishi.models import folder
from jishi.models.heads import head_modules
from jishi.models.processors import one_sentence, quiet

HIDDEN = (".mask_token",)  # what stands in the place of a hidden patch: pretraining alone reads it

Kind = TypeVar("Kind", bound=PreTrainedModel)


def config(path: Path, *, weights: bool = True) -> PreTrainedConfig:
    """The checked folder's configuration, which stands beside `weights` or beside a graph. Raises ModelError."""
    given = folder.check(path, weights=weights).get("model_type")
    if given not in transformers.CONFIG_MAPPING:
        raise ModelError("models.unknown-architecture", path=path, given=given, version=transformers.__version__)
    with one_sentence("models.broken-model", path), quiet():
        return AutoConfig.from_pretrained(path, local_files_only=True)


def weights(kind: type[Kind], path: Path, config: PreTrainedConfig, *, exact: bool = False, **options: Any) -> Kind:
    """A class with the folder's weights, fp32; unless `exact`, its head may be new. Raises ModelError."""
    with one_sentence("models.broken-model", path), quiet():
        built, report = kind.from_pretrained(
            path,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    head = () if exact else tuple(f"{name}." for name in head_modules(built))
    aside = () if exact else HIDDEN
    absent = {*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])}
    _refuse(
        "models.weights-missing", path, {key for key in absent if not (key.startswith(head) or key.endswith(aside))}
    )
    unused = {key for key in report["unexpected_keys"] if not key.endswith(aside)}
    _refuse("models.weights-unused", path, unused if exact else {key for key in unused if _in_backbone(key, built)})
    return built


@torch.no_grad()
def refresh(built: PreTrainedModel) -> None:
    """Begin a head anew that was trained for other labels; a pooling layer that came with the base stays."""
    for name in head_modules(built):
        if name.endswith(".pooler"):
            continue
        module = built.get_submodule(name)
        for weight in module.parameters():
            weight._is_hf_initialized = False  # transformers' mark for "loaded, leave alone"
        module.apply(built._init_weights)


def _in_backbone(key: str, built: PreTrainedModel) -> bool:
    """Whether a weight without a place belongs to the backbone; other heads and pooling layers may be left aside."""
    backbone = getattr(built, built.base_model_prefix, built)
    parts = {name for name, _ in backbone.named_children()}
    return key.removeprefix(f"{built.base_model_prefix}.").split(".")[0] in parts


def _refuse(code: str, path: Path, keys: set[str]) -> None:
    if keys:
        raise ModelError(code, path=path, count=len(keys), given=min(keys))
