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

TIMED_STEPS = 4  # the first warms up


def plan(wanted: FinetuneSpec) -> dict[str, Any]:
    """Rows, tokens, parameters, optimizer steps, seconds of training and peak memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(wanted.seed)
        begun = start(replace(wanted, out=folder, train=replace(wanted.train, max_steps=None)), Path(folder))
        loop = begun.loop
        steps = min(loop.steps, wanted.train.max_steps or loop.steps)
        tokens = sum(loop.features.lengths)
        spent: list[float] = []
        clock = time.monotonic()
        for event in itertools.islice(loop.events(resume=False), 1 + 2 * TIMED_STEPS):
            if event.kind == "step":
                spent.append((time.monotonic() - clock) / max(1, event.values["tokens"]))
                clock = time.monotonic()
                if len(spent) == TIMED_STEPS:
                    break
        whole = statistics.median(spent[1:] or spent) * tokens * wanted.train.epochs  # where no step is left out
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
            "seconds": whole * steps / loop.steps,
            "memory": resident_bytes(),
        }
