"""Plan: what a fine-tuning or a pretraining would take on this machine, from a trial that leaves nothing behind."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from jishi.lifecycle import finetune, pretrain
from jishi.lifecycle.finetune import FinetuneSpec, resident_bytes
from jishi.lifecycle.pretrain import PretrainSpec
from jishi.training import trial


def plan(wanted: FinetuneSpec | PretrainSpec) -> dict[str, Any]:
    """Rows, tokens, parameters, optimizer steps, seconds of training, and peak memory in bytes.

    The memory is what the trial has taken with the heaviest step, a validation and a checkpoint in it, and the answers of the
    untuned model; what the evaluation and the bundle take after training is not in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(wanted.seed)
        here = replace(wanted, out=folder)
        begun = pretrain.start if isinstance(here, PretrainSpec) else finetune.start
        loop = begun(here, Path(folder)).loop
        parameters = list(loop.model.parameters())
        return {
            "rows": len(loop.features),
            "tokens": sum(loop.features.lengths),
            "truncated": loop.features.truncated,
            "unknown": loop.features.unknown,
            "parameters": sum(parameter.numel() for parameter in parameters),
            "trainable_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
            "steps": loop.steps,
            "precision": loop.precision,
            "seconds": trial.seconds(loop),
            "memory": resident_bytes(),
        }
