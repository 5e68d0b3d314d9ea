"""A trial of a run: a few of its steps, a validation and a checkpoint, timed and thrown away; from them what the whole takes.

The heaviest step comes first: it sets the peak of memory, as it will in the run, and what is done once is done by then, so
that the steps timed after it go at the pace of the run.
"""

import math
import time
from collections.abc import Sequence

import torch

from jishi.models.inference import to
from jishi.training import states
from jishi.training.features import Encoded
from jishi.training.fit_head import ROWS
from jishi.training.loop import Loop
from jishi.training.states import States
from jishi.training.validate import validate

STEPS = 8  # timed beside the heaviest
ENOUGH = 20.0  # seconds of steps after which no other is begun
HELD_OUT = 256  # rows of the timed validation, about

Window = list[list[int]]


def seconds(loop: Loop) -> float:
    """What the run of a loop would take. The loop must not have begun, and is of no other use afterwards."""
    next(loop.events(resume=False))  # all that comes before the first step
    tokens = sum(loop.features.lengths)
    spent = _pass(loop) * tokens if loop.spec.fit_head else 0.0
    if not loop.steps:
        return spent
    windows = loop._windows(0)
    tried = [max(windows, key=lambda window: _heaviest(loop, window)), *windows[:STEPS]]
    loop.model.train()
    with loop._quick():
        if loop.records:
            spent += _record(loop, tried)
        spent += _steps(loop, tried) * tokens * passes(loop)
    validations, checkpoints = _due(loop, math.ceil(passes(loop)))
    if loop.held_out is not None:
        spent += _validation(loop) * validations
    return spent + _checkpoint(loop) * checkpoints + _probes(loop)


def passes(loop: Loop) -> float:
    """How often a run reads its rows."""
    return loop.steps / len(loop._windows(0))


def _heaviest(loop: Loop, window: Window) -> int:
    """Padded tokens of the largest batch."""
    return max(len(batch) * max(loop.features.lengths[row] for row in batch) for batch in window)


def _steps(loop: Loop, windows: Sequence[Window]) -> float:
    """Seconds a token of optimizer steps over these windows, of which the first is not timed."""
    spent, tokens = 0.0, 0
    clock = time.monotonic()
    for number, (window, pieces) in enumerate(zip(windows, loop._fed(windows), strict=True)):
        loop.at.step = min(loop.at.step, loop.steps - 1)  # a run may be shorter than its trial
        told = loop._step(window, pieces)
        now = time.monotonic()
        if number:
            spent, tokens = spent + now - clock, tokens + told["tokens"]
        clock = now
        if spent > ENOUGH:
            break
    return spent / tokens


def _record(loop: Loop, windows: Sequence[Window]) -> float:
    """Seconds of recording what the frozen part says, from the rows of these windows, whose steps then play it back."""
    lengths = loop.features.lengths
    rows = sorted({row for window in windows for batch in window for row in batch})
    clock = time.monotonic()
    loop.update.states = States.record(
        loop.model, loop.head, loop.objective, loop.processor, loop.features, loop.folder, loop.update.quick, rows
    )
    return (time.monotonic() - clock) * _asked(lengths) / _asked([lengths[row] for row in rows])


def _asked(lengths: Sequence[int]) -> int:
    """Tokens that are asked for a recording: the longest few twice, to see whether playing back is right."""
    return sum(lengths) + sum(sorted(lengths)[-states.TRIED :])


def _pass(loop: Loop) -> float:
    """Seconds a token of a pass without gradients, from a batch of rows of middling length."""
    lengths = loop.features.lengths
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    rows = order[max(0, len(order) // 2 - ROWS // 2) : len(order) // 2 + ROWS // 2 + 1]
    batch = to(loop.objective.collate([loop.features[row] for row in rows], loop.processor), loop.device)
    clock = time.monotonic()
    with torch.inference_mode(), loop.update.quick(batch):
        loop.objective.loss(loop.model, batch)
    return (time.monotonic() - clock) / sum(lengths[row] for row in rows)


def _validation(loop: Loop) -> float:
    """Seconds of one validation, from rows spread over all that are held out."""
    held_out, validation = loop.held_out or (), loop.validation or ()
    rows = [validation[row] for row in range(0, len(validation), math.ceil(len(validation) / HELD_OUT))]
    features = Encoded(loop.objective, rows, loop.processor)
    clock = time.monotonic()
    validate(loop.objective, loop.model, loop.processor, features, rows, seed=loop.seed)
    return (time.monotonic() - clock) * len(held_out) / len(rows)


def _probes(loop: Loop) -> float:
    """Seconds of all linear probes: before the first step, at every so many, and of the model that is kept."""
    spent = 0.0
    for probe in loop.probes:
        clock = time.monotonic()
        probe(loop.model)
        spent += (time.monotonic() - clock) * (2 + math.ceil(loop.steps / probe.every))
    return spent


def _checkpoint(loop: Loop) -> float:
    """Seconds of writing one."""
    clock = time.monotonic()
    loop._save()
    return time.monotonic() - clock


def _due(loop: Loop, epochs: int) -> tuple[int, int]:
    """How many validations and checkpoints a run makes; a better score between two checkpoints would make one more."""
    spec = loop.spec
    validations = math.ceil(loop.steps / spec.validate_every) if spec.validate_every else epochs
    return validations, math.ceil(loop.steps / spec.checkpoint_every) if spec.checkpoint_every else validations
