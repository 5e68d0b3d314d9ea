"""Plan: what a fine-tuning would take on this machine, from a few timed steps, leaving nothing behind."""

import itertools
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from jishi.lifecycle.finetune import FinetuneSpec, resident_bytes, start
from jishi.models.inference import to
from jishi.training.fit_head import ROWS
from jishi.training.loop import Loop

TIMED_STEPS = 4  # the first warms up
LEAST = 0.05  # the share of a step that is left at least when the frozen part is played back


def plan(wanted: FinetuneSpec) -> dict[str, Any]:
    """Rows, tokens, parameters, optimizer steps, seconds of training and peak memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(wanted.seed)
        train = wanted.train
        timed = replace(train, max_steps=None, fit_head=None, epochs=train.epochs or 1.0)
        begun = start(replace(wanted, out=folder, train=timed), Path(folder))
        loop = begun.loop
        records, loop.records = loop.records, False  # recording asks for every row
        steps = min(loop.steps, train.max_steps or loop.steps) if train.epochs else 0
        tokens = sum(loop.features.lengths)
        spent: list[float] = []
        clock = time.monotonic()
        for event in itertools.islice(loop.events(resume=False), 1 + 2 * TIMED_STEPS):
            if event.kind == "step":
                spent.append((time.monotonic() - clock) / max(1, event.values["tokens"]))
                clock = time.monotonic()
                if len(spent) == TIMED_STEPS:
                    break
        whole = statistics.median(spent[1:] or spent) * tokens * train.epochs  # where no step is left out
        seconds = whole * steps / loop.steps
        if train.fit_head or records:
            one = _pass_seconds(loop)
            passes = train.epochs * steps / loop.steps
            saved = one * max(0.0, passes - 1) if records else 0.0  # every pass but the recording one
            seconds = max(seconds - saved, LEAST * seconds) + (one if train.fit_head else 0.0)
        parameters = list(loop.model.parameters())
        return {
            "rows": len(loop.features),
            "tokens": tokens,
            "truncated": loop.features.truncated,
            "unknown": loop.features.unknown,
            "parameters": sum(parameter.numel() for parameter in parameters),
            "trainable_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
            "steps": steps,
            "precision": loop.precision,
            "seconds": seconds,
            "memory": resident_bytes(),
        }


def _pass_seconds(loop: Loop) -> float:
    """One pass over the training rows without gradients, from a batch of rows of middling length."""
    order = sorted(range(len(loop.features)), key=lambda index: loop.features.lengths[index])
    middle = len(order) // 2
    rows = [loop.features[index] for index in order[max(0, middle - ROWS // 2) : middle + ROWS // 2 + 1]]
    batch = to(loop.objective.collate(rows, loop.processor), loop.device)
    clock = time.monotonic()
    with torch.inference_mode():
        loop.objective.loss(loop.model, batch)
    spent = time.monotonic() - clock
    return spent * sum(loop.features.lengths) / sum(row["length"] for row in rows)
