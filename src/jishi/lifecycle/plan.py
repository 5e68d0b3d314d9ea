"""Plan: what a fine-tuning or a pretraining would take on this machine, from a trial that leaves nothing behind."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from jishi.lifecycle import finetune, pretrain
from jishi.lifecycle.finetune import FinetuneSpec
from jishi.lifecycle.footprint import resident_bytes
from jishi.lifecycle.pretrain import PretrainSpec
from jishi.lifecycle.scaling import scaling
from jishi.models import load
from jishi.models.parameters import by_size, parameters
from jishi.training import trial
from jishi.training.loop import Loop


def plan(wanted: FinetuneSpec | PretrainSpec) -> dict[str, Any]:
    """Rows, tokens, parameters, optimizer steps, seconds of training, and peak memory in bytes.

    The memory is what the trial has taken with the heaviest step, a validation and a checkpoint in it, and the answers of the
    untuned model; what the evaluation and the bundle take after training is not in it. A pretraining also has what it reads and
    computes in all, and the size of model that the texts at hand are for ("scaling", see there).
    """
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(wanted.seed)
        here = replace(wanted, out=folder)
        begun = pretrain.start if isinstance(here, PretrainSpec) else finetune.start
        loop = begun(here, Path(folder)).loop
        learning, seconds = [one for one in loop.model.parameters() if one.requires_grad], trial.seconds(loop)
        told = {
            "rows": len(loop.features),
            "tokens": sum(loop.features.lengths),
            "truncated": loop.features.truncated,
            "unknown": loop.features.unknown,
            "parameters": parameters(loop.model).whole,
            "trainable_parameters": sum(one.numel() for one in learning),
            "steps": loop.steps,
            "precision": loop.precision,
            "seconds": seconds,
            "memory": resident_bytes(),
        }
        return {**told, **_scale(here, loop, seconds)} if isinstance(here, PretrainSpec) else told


def _scale(wanted: PretrainSpec, loop: Loop, seconds: float) -> dict[str, Any]:
    """What is read and computed in all and, of texts, what size of model they are for."""
    counted, corpus = parameters(loop.model), sum(loop.features.lengths)
    trained = corpus * trial.passes(loop)
    told = {
        "inner_parameters": counted.inner,
        "trained_tokens": round(trained),
        "flops_per_token": round(loop.flops),
        "flops": round(loop.flops * trained),
    }
    if not isinstance(loop.processor, PreTrainedTokenizerBase):
        return told
    base = load.base(wanted.model)
    size, sizes = base.name, {base.name: counted}
    if base.fresh:
        size, sizes = wanted.model.size, by_size(wanted.model, loop.objective.head(), base, loop.processor)
    return {**told, "scaling": scaling(sizes, size, corpus=corpus, trained=trained, seconds=seconds)}
