"""Nothing fails silently: what must hold before, during and after training, or training stops with the cure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from jishi.core.contracts import Adaptation, Objective
from jishi.core.errors import TrainingError
from jishi.training.features import Encoded
from jishi.training.linear_probe import LinearProbe
from jishi.training.optimizer import in_modules
from jishi.training.ranks import local
from jishi.training.spec import TrainSpec

# Steps in a row with a loss of exactly 0 after which nothing can be learnt (one such batch may be chance).
ZERO_STEPS = 3


def check_rows(features: Encoded, max_unknown: float) -> None:
    """The vocabulary must know the text, and must see some of it whole."""
    if len(features) == 0:
        raise TrainingError("training.no-rows")
    check_unknown(features.unknown, max_unknown)
    if features.truncated == 1:
        raise TrainingError("training.all-truncated", rows=len(features))


def check_unknown(share: float, allowed: float) -> None:
    """Of the tokens of all rows, or of those that are varied."""
    if share > allowed:
        raise TrainingError("training.unknown-tokens", given=f"{share:.1%}", allowed=f"{allowed:.1%}")


def check_asked(
    spec: TrainSpec,
    objective: Objective,
    adaptation: Adaptation | None,
    probes: Sequence[LinearProbe],
    *,
    sharded: bool,
) -> None:
    """Rows can be held against each other only where a step has several; of a model in shards nothing can be asked that
    needs whole weights."""
    if objective.joint and spec.batch_size * spec.accumulation == 1:
        raise TrainingError("training.joint-alone")
    if objective.joint and spec.regularize:
        raise TrainingError("training.joint-regularized")
    if any(one.replaces for one in spec.regularize[1:]):
        raise TrainingError("training.replaces-first")
    asked = {
        "training.shard-fit-head": bool(spec.fit_head),
        "training.shard-probes": bool(probes),
        "training.shard-average": spec.average is not None,
        "training.shard-joint": objective.joint,
        "training.shard-adaptation": adaptation is not None and type(adaptation).advance is not Adaptation.advance,
    }
    for code, found in asked.items():
        if sharded and found:
            raise TrainingError(code)


def check_loss(losses: Sequence[float], step: int) -> None:
    """`losses` are those of the last steps, newest last."""
    if not math.isfinite(losses[-1]):
        raise TrainingError("training.loss-not-finite", step=step, given=losses[-1])
    if len(losses) >= ZERO_STEPS and not any(losses[-ZERO_STEPS:]):
        raise TrainingError("training.loss-zero", step=step)


def check_gradient(norm: float, step: int) -> None:
    """Before the step is taken: one gradient that is not finite would spoil every weight."""
    if not math.isfinite(norm):
        raise TrainingError("training.gradient-not-finite", step=step, given=norm)


def fingerprint(model: Any) -> dict[str, torch.Tensor]:
    """A copy of what learns, to hold the end against."""
    return {name: local(value.detach()).clone() for name, value in model.named_parameters() if value.requires_grad}


def check_moved(
    before: Mapping[str, torch.Tensor],
    model: Any,
    head: list[str],
    gather: Callable[[Any], list[Any]] = lambda told: [told],
) -> None:
    """Every weight that should learn has a finite value, some have moved, and the head's have.

    `gather` gives what every process has found of the part that it holds.
    """
    now = {name: local(value.detach()) for name, value in model.named_parameters() if value.requires_grad}
    broken = {name for name, value in now.items() if not torch.isfinite(value).all()}
    moved = {name for name, value in now.items() if not torch.equal(value, before[name])}
    found = gather((broken, moved))
    broken, moved = (set().union(*names) for names in zip(*found, strict=True))
    if broken:
        raise TrainingError("training.weights-not-finite", given=next(name for name in now if name in broken))
    if not moved:
        raise TrainingError("training.weights-still")
    if head and not any(in_modules(name, head) for name in moved):
        raise TrainingError("training.head-still", given=", ".join(head))
