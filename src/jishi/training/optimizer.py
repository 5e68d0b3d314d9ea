"""Optimizer and learning-rate schedule of a run."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from jishi.training.shard import Shards
from jishi.training.spec import TrainSpec
from jishi.training.used_rows import UsedRows

FRESH_LEARNING_RATE = 1e-3  # random weights must cover more ground than those that already know the language


def build(
    model: Any,
    head: list[str],
    spec: TrainSpec,
    learning_rate: float,
    used: UsedRows | None = None,
    shards: Shards | None = None,
    apart: Iterable[str] = (),
) -> torch.optim.Optimizer:
    """The optimizer over what learns: the head with its own rate, weight matrices with decay, the rest without.

    `learning_rate` holds where the spec names none. `head` names the freshly initialised modules; `used` stands in for its
    table, `shards` for the weights that are cut. `apart` names the modules whose rate will be another one.
    """
    learning_rate = spec.learning_rate or learning_rate
    head_rate = spec.head_learning_rate or max(FRESH_LEARNING_RATE, learning_rate)
    apart = sorted(apart, key=len, reverse=True)
    groups: dict[tuple[float, float, str], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = head_rate if in_modules(name, head) else learning_rate
            decay = spec.weight_decay if parameter.ndim > 1 else 0.0
            member = used.part if used and parameter is used.table.weight else parameter
            member = shards.parts.get(name, member) if shards else member
            module = next((one for one in apart if name.startswith(f"{one}.")), "")
            groups.setdefault((rate, decay, module), []).append(member)
    parameters = [
        {"params": members, "lr": rate, "peak": rate, "weight_decay": decay, "module": module}
        for (rate, decay, module), members in groups.items()
    ]
    if spec.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(parameters, fused=True)


def in_modules(name: str, modules: list[str]) -> bool:
    """Whether a parameter belongs to one of the modules, also where an adaptation has wrapped it."""
    return any(f".{module}." in f".{name}" for module in modules)


def set_rate(
    optimizer: torch.optim.Optimizer, spec: TrainSpec, step: int, steps: int, rates: Mapping[str, float] | None = None
) -> float:
    """Set the rates for optimizer step `step` (from 0) of `steps`; returns the factor of the peak.

    `rates` are further factors of modules the optimizer keeps apart.
    """
    warmup = round(spec.warmup * steps)
    if step < warmup:
        factor = (step + 1) / warmup
    else:
        left = (steps - step) / max(1, steps - warmup)
        factor = {"linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left)), "constant": 1.0}[spec.scheduler]
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor * (rates or {}).get(group["module"], 1.0)
    return factor
