"""Pretrain: texts or pictures → objective → the loop → a base that `finetune` starts from."""

import json
import math
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from jishi.core import manifest, publish, registry, spec
from jishi.core.contracts import Adaptation, Objective, Task, option
from jishi.core.errors import DataError, UsageError
from jishi.data.dataset import Dataset
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec
from jishi.lifecycle import processes
from jishi.lifecycle.finetune import Listener, resident_bytes, train
from jishi.models import beside, heads, load
from jishi.models.spec import ModelSpec
from jishi.training.loop import Event, Loop
from jishi.training.optimizer import FRESH_LEARNING_RATE
from jishi.training.ranks import Ranks
from jishi.training.run import Run, versions
from jishi.training.spec import TrainSpec
from jishi.training.validate import validate

BASE, RECORD = "base", "pretraining.json"
REPEATED, NEAR = 0.5, 0.1  # shares of repeated training rows, and of held-out rows that are nearly learnt, worth a word


@dataclass(frozen=True)
class PretrainSpec:
    """What `jishi pretrain` is asked for."""

    data: DataSpec = option(
        en="The rows without labels: a file, or the folder of a corpus.", zh="无标签数据：文件，或语料目录。"
    )
    out: str = option(en="The run directory to write.", zh="要写入的运行目录。", aliases=("output_dir",))
    model: ModelSpec = option(
        en="A design to begin from nothing (transformer-encoder, transformer-decoder), or a base to go on from.",
        zh="从零开始的结构（transformer-encoder、transformer-decoder），或要继续预训练的基座。",
        aliases=("model_name_or_path",),
    )
    objective: Objective = option(
        factory=lambda: registry.get(Objective, "masked-lm")(),
        en="What is learnt: masked-lm (encoders), causal-lm (decoders).",
        zh="学习目标：masked-lm（编码器）、causal-lm（解码器）。",
    )
    adapt: Adaptation = option(
        factory=lambda: registry.get(Adaptation, "full")(),
        en="Which weights learn, and how.",
        zh="哪些权重参与学习、如何学习。",
    )
    train: TrainSpec = option(factory=TrainSpec, en="How training runs.", zh="训练设置。")
    seed: int = option(0, "Every random choice follows from it.", "所有随机选择都由它决定。")
    resume: Literal["auto", "never"] = option(
        "auto",
        "auto goes on from the newest checkpoint of the same spec; never starts over.",
        "auto 从同一规格的最新检查点继续；never 重新开始。",
    )


@dataclass(frozen=True)
class Pretrained:
    """What a run came to. `base` is None where it was interrupted, and in all processes but the first."""

    folder: Path
    base: Path | None
    record: Mapping[str, Any]
    interrupted: bool = False


@dataclass(frozen=True)
class Begun:
    """What a run starts from, ready to train."""

    data: Dataset
    processor: Any
    loop: Loop


def pretrain(wanted: PretrainSpec, listen: Listener, watch: Any) -> Pretrained:
    """Run the whole path. `listen` hears every event; `watch` is handed the loop, so that a face can stop it.

    Raises UsageError where the objective is a task: that is what `finetune` is for.
    """
    if isinstance(wanted.objective, Task):
        raise UsageError("objectives.is-a-task", given=registry.name_of(wanted.objective))
    with processes.together("pretrain", spec.dump(wanted), wanted.train.devices):
        resume, folder = wanted.resume == "auto", Path(wanted.out)
        if Ranks.join().rank:
            with tempfile.TemporaryDirectory() as own:
                loop = start(wanted, folder, Path(own) / "data").loop
                watch(loop)
                last = deque(loop.events(resume=resume), maxlen=1)[0]
            return Pretrained(folder, None, {}, interrupted=last.kind == "interrupted")
        with Run.open(folder, spec.dump(wanted), resume=resume) as run:
            clock = time.monotonic()
            begun = start(wanted, folder)
            repeats = _repeats(begun)
            if repeats["repeated"] > REPEATED * repeats["rows"] or repeats["near"] > NEAR * repeats["held_out"]:
                listen(Event("caution", 0, {"code": "repeated", "path": wanted.data.train, **repeats}))
            watch(begun.loop)
            before = _judged(begun)
            facts = train(begun.loop, run, listen, resume=resume)
            if facts is None:
                run.status("interrupted")
                return Pretrained(folder, None, {}, interrupted=True)
            model = wanted.adapt.merge(begun.loop.model)
            resources = {**facts, "seconds": time.monotonic() - clock, "peak_memory": resident_bytes()}
            record = _record(wanted, begun, {"untrained": before, "trained": _judged(begun)}, resources)
            _write(folder / BASE, beside.alone(model), begun.processor, record)
            run.status("complete", resources=resources, loss=record["loss"])
        return Pretrained(folder, folder / BASE, record)


def start(wanted: PretrainSpec, folder: Path, rows: Path | None = None) -> Begun:
    """Prepare the rows, and the model to train. Raises DataError where nothing is held out."""
    torch.manual_seed(wanted.seed)
    base = load.base(wanted.model)
    processor = None if load.learns_processor(wanted.model) else load.processor(wanted.model)
    data = prepare(wanted.data, wanted.objective, rows or folder / "data", processor=processor, base=base)
    processor = processor or load.processor(wanted.model, data.train)
    objective = wanted.objective.initialize(data.train, base)
    held_out = data.validation if data.validation is not None else data.test
    if held_out is None:
        raise DataError("data.nothing-held-out", path=wanted.data.train)
    model = load.model(wanted.model, objective.head(), base, processor)
    head = heads.fresh(model)
    loop = Loop(
        wanted.adapt.apply(model, objective), objective, processor, wanted.train, train=data.train, validation=held_out,
        head=head, learning_rate=FRESH_LEARNING_RATE if base.fresh else wanted.adapt.learning_rate, folder=folder,
        seed=wanted.seed,
    )  # fmt: skip
    return Begun(data, processor, loop)


def _repeats(begun: Begun) -> dict[str, int]:
    """How many training rows stand there before, and how many held-out rows are (nearly) learnt from."""
    report, rows = begun.data.report, begun.data.report["rows"]
    part = "validation" if "validation" in rows else "test"
    near = ((report["near_duplicates"] or {}).get("across") or {}).get(f"train/{part}", 0)
    return {
        "rows": rows["train"], "repeated": report["duplicates"]["within"]["train"],
        "held_out": rows[part], "near": near + report["duplicates"]["across"].get(f"train/{part}", 0),
    }  # fmt: skip


def _judged(begun: Begun) -> dict[str, float]:
    """The loss on the rows held out, and its parts."""
    loop = begun.loop
    assert loop.held_out is not None
    return validate(loop.objective, loop.model, begun.processor, loop.held_out, loop.validation or (), seed=loop.seed)


def _record(
    wanted: PretrainSpec, begun: Begun, judged: Mapping[str, Mapping[str, float]], resources: Mapping[str, Any]
) -> dict[str, Any]:
    loop = begun.loop
    loss = {name: found["loss"] for name, found in judged.items()}
    writes = (
        len(judged["trained"]) == 1 and loop.model.get_output_embeddings() is not None
    )  # a loss of tokens, all of it
    return {
        "objective": spec.dump(loop.objective),
        "model": spec.dump(wanted.model),
        "data": {
            "fingerprint": begun.data.fingerprint,
            "rows": begun.data.report.get("rows"),
            "repeats": _repeats(begun),
        },
        "loss": loss,
        "parts": {
            name: {part: value for part, value in found.items() if part != "loss"} for name, found in judged.items()
        },
        "perplexity": {name: math.exp(min(value, 100.0)) for name, value in loss.items()} if writes else {},
        "tokens": sum(loop.features.lengths),
        "truncated": loop.features.truncated,
        "unknown": loop.features.unknown,
        "resources": dict(resources),
        "seed": wanted.seed,
        "versions": versions(),
    }


def _write(path: Path, model: Any, processor: Any, record: Mapping[str, Any]) -> None:
    """A folder in the format of transformers, whole or not at all."""
    with publish.folder(path) as folder:
        model.save_pretrained(folder, safe_serialization=True)
        processor.save_pretrained(folder)
        publish.write_text(folder / RECORD, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
        manifest.seal(folder)
