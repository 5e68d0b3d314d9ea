"""Checkpoints: everything a run needs to go on as if it had never stopped, published whole or not at all.

A checkpoint is a folder `step-N`: `weights.safetensors` (what learns, and buffers), `optimizer.safetensors`, `state.json`
(position, scores, random state) and `MANIFEST.json` (SHA-256). Resume takes the newest one that verifies.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from jishi.core import manifest, publish
from jishi.core.errors import TrainingError
from jishi.training import random_state
from jishi.training.ranks import ALONE, Ranks, local
from jishi.training.shard import Shards


def save(
    path: Path, model: Any, optimizer: torch.optim.Optimizer, state: Mapping[str, Any], random: Sequence[dict[str, Any]],
    shards: Shards | None = None, ranks: Ranks = ALONE,
) -> Path:  # fmt: skip
    """Publish a checkpoint at `path`, with `state` (plain JSON) and the random states of all processes beside the tensors.

    All processes call this, and the first writes.
    """
    weights, (tensors, groups) = _weights(model), _optimizer_tensors(optimizer)
    if shards:
        learning = _learning(optimizer)
        weights = {name: shards.whole(value) for name, value in weights.items()}
        tensors = {name: shards.whole(value, learning[_index(name)]) for name, value in tensors.items()}
    content = {**state, "optimizer": groups, "random": list(random)}
    ranks.first(lambda: _publish(path, weights, tensors, content))
    return path


def _publish(
    path: Path, weights: Mapping[str, torch.Tensor], tensors: dict[str, torch.Tensor], content: Mapping[str, Any]
) -> None:
    try:
        with publish.folder(path) as temporary:
            save_file({name: value.contiguous() for name, value in weights.items()}, temporary / "weights.safetensors")
            save_file(tensors, temporary / "optimizer.safetensors")
            (temporary / "state.json").write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
            manifest.seal(temporary)
    except (OSError, SafetensorError) as error:  # a full disk is the one or the other
        reason = getattr(error, "strerror", None) or error
        raise TrainingError("training.checkpoint-not-written", path=path, reason=reason) from error


def restore(
    path: Path, model: Any, optimizer: torch.optim.Optimizer, rank: int = 0, shards: Shards | None = None
) -> dict[str, Any]:
    """Put a checkpoint's weights, optimizer and this process's random state back; returns the rest of its state.

    A process that had none when the checkpoint was written keeps its own.
    """
    load_weights(path, model, shards)
    state = json.loads((path / "state.json").read_text(encoding="utf-8"))
    tensors = load_file(path / "optimizer.safetensors")
    learning = _learning(optimizer)
    members: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        index, key = _index(name), name.partition(".")[2]
        weight = learning[index]
        value = shards.cut(value, weight) if shards else value
        # A fused optimizer reads memory in order: a convolution's averages must lie as its weights do, channels last.
        alike = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
        members.setdefault(index, {})[key] = alike
    optimizer.load_state_dict({"state": members, "param_groups": state.pop("optimizer")})
    random = state.pop("random")
    if rank < len(random):
        random_state.put(random[rank])
    return state


def load_weights(path: Path, model: Any, shards: Shards | None = None) -> None:
    """Put a checkpoint's weights back into a model of the same shape. Raises TrainingError where they don't fit."""
    saved = load_file(path / "weights.safetensors")
    present = _weights(model)
    if saved.keys() != present.keys() or any(saved[name].shape != present[name].shape for name in saved):
        raise TrainingError("training.checkpoint-other-model", path=path)
    with torch.no_grad():
        for name, value in saved.items():
            if shards and name in shards.weights:
                local(present[name]).copy_(shards.own(value))
            else:
                present[name].copy_(value)


def newest(folder: Path) -> tuple[Path | None, list[Path]]:
    """The newest checkpoint that verifies, and the damaged ones passed over on the way."""
    damaged: list[Path] = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        if not any(manifest.faults(path).values()):
            return path, damaged
        damaged.append(path)
    return None, damaged


def prune(folder: Path, keep: set[Path]) -> None:
    """Remove the checkpoints that are neither the best nor the last."""
    for path in folder.glob("step-*"):
        if path not in keep:
            shutil.rmtree(path)


def _weights(model: Any) -> dict[str, torch.Tensor]:
    learning = {name: value.data for name, value in model.named_parameters() if value.requires_grad}
    return {**learning, **{name: value for name, value in model.named_buffers() if value.numel()}}


def _learning(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _index(name: str) -> int:
    """The place among what learns of the weight that a tensor of the optimizer belongs to."""
    return int(name.partition(".")[0])


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    state = optimizer.state_dict()
    tensors = {
        f"{index}.{key}": value.contiguous()
        for index, entries in state["state"].items()
        for key, value in entries.items()
        if isinstance(value, torch.Tensor)
    }
    return tensors, state["param_groups"]
