"""Pretrain: texts or pictures → objective → the loop → a base that `finetune` starts from."""

import json
import math
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from jishi.core import manifest, publish, registry, spec
from jishi.core.contracts import Adaptation, Objective, Row, Task, option
from jishi.core.errors import DataError, ModelError, UsageError
from jishi.data import columns
from jishi.data.dataset import Dataset
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec
from jishi.lifecycle import probes, processes, replay, samples
from jishi.lifecycle.footprint import resident_bytes
from jishi.lifecycle.probes import ProbeSpec
from jishi.lifecycle.replay import Replay
from jishi.lifecycle.rounds import Listener, once
from jishi.lifecycle.samples import SampleSpec
from jishi.models import dual, heads, load
from jishi.models.spec import ModelSpec
from jishi.training.features import Encoded
from jishi.training.loop import Event, Loop
from jishi.training.optimizer import FRESH_LEARNING_RATE
from jishi.training.ranks import Ranks
from jishi.training.run import Run, versions
from jishi.training.spec import TrainSpec
from jishi.training.validate import validate

BASE, RECORD = "base", "pretraining.json"
FIGURES = ("loss", "bits_per_character")  # what else is judged are parts of the loss
REPEATED, NEAR = 0.5, 0.1  # shares of repeated training rows, and of held-out rows that are nearly learnt, worth a word
Judged = dict[str, dict[str, float]]  # "own" and "replayed" rows held out → the loss and its parts


@dataclass(frozen=True)
class PretrainSpec:
    """What `jishi pretrain` is asked for."""

    data: DataSpec = option(
        en="The rows without labels: a file, or the folder of a corpus.", zh="无标签数据：文件，或语料目录。"
    )
    out: str = option(en="The run directory to write.", zh="要写入的运行目录。", aliases=("output_dir",))
    model: ModelSpec = option(
        en="A design to begin from nothing (transformer-encoder, transformer-decoder, …), or a base to go on from.",
        zh="从零开始的结构（transformer-encoder、transformer-decoder 等），或要继续预训练的基座。",
        aliases=("model_name_or_path",),
    )
    objective: Objective = option(
        factory=lambda: registry.get(Objective, "masked-lm")(),
        en="What is learnt: masked-lm (encoders), causal-lm (decoders), span-corruption (encoder-decoders), …",
        zh="学习目标：masked-lm（编码器）、causal-lm（解码器）、span-corruption（编码器-解码器）等。",
    )
    adapt: Adaptation = option(
        factory=lambda: registry.get(Adaptation, "full")(),
        en="Which weights learn, and how.",
        zh="哪些权重参与学习、如何学习。",
    )
    replay: Replay | None = option(
        None,
        "Where a base is gone on with: what it knew, mixed in against forgetting, which is measured.",
        "在已有基座上继续时：混入其原有知识以减轻遗忘，并衡量遗忘。",
    )
    train: TrainSpec = option(factory=TrainSpec, en="How training runs.", zh="训练设置。")
    samples: SampleSpec | None = option(
        None,
        "Texts that the model is shown while it learns, and what it makes of them.",
        "训练期间展示给模型的文本，以及模型的续写或填空。",
    )
    probes: tuple[ProbeSpec, ...] = option(
        (),
        "Labelled sets that linear probes are fitted on while the base learns: it is judged by what it is for.",
        "预训练过程中用线性探测检验的带标签数据：以用途评判基座。",
    )
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
    held_out: Mapping[str, Encoded]  # what is judged before and after: "own" rows, and "replayed" ones
    replayed: int = 0  # rows mixed in


def pretrain(wanted: PretrainSpec, listen: Listener, watch: Any) -> Pretrained:
    """Run the whole path. `listen` hears every event; `watch` is handed the loop, so that a face can stop it.

    Raises UsageError where the objective is a task, or its head is to be fitted: that is what `finetune` is for.
    """
    if isinstance(wanted.objective, Task):
        allowed = sorted(set(registry.names(Objective)) - set(registry.names(Task)))
        raise UsageError("objectives.is-a-task", given=registry.name_of(wanted.objective), allowed=", ".join(allowed))
    if wanted.train.fit_head:
        raise UsageError("objectives.no-head-to-fit")
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
            facts = once(begun.loop, run, listen, resume=resume, add=partial(samples.add, wanted.samples, begun.loop))
            if facts is None:
                run.status("interrupted")
                return Pretrained(folder, None, {}, interrupted=True)
            model = wanted.adapt.merge(begun.loop.model)
            resources = {**facts, "seconds": time.monotonic() - clock, "peak_memory": resident_bytes()}
            record = _record(wanted, begun, before, _judged(begun), resources)
            record["probes"] = probes.record(begun.loop.probes, begun.loop.model, run.events())
            _write(folder / BASE, model, begun.processor, record)
            run.status("complete", resources=resources, loss=record["loss"])
        return Pretrained(folder, folder / BASE, record)


def start(wanted: PretrainSpec, folder: Path, rows: Path | None = None) -> Begun:
    """Prepare the rows, and the model to train. Raises DataError where nothing is held out."""
    torch.manual_seed(wanted.seed)
    base = load.base(wanted.model)
    columns.check_reader(wanted.objective, base)
    if wanted.adapt.beside:
        raise ModelError("adaptation.not-for-base", method=registry.name_of(wanted.adapt))
    marks = wanted.objective.marks
    processor = None if load.learns_processor(wanted.model) else load.processor(wanted.model, extra=marks)
    place = rows or folder / "data"
    data = prepare(wanted.data, wanted.objective, place, processor=processor, base=base)
    processor = processor or load.processor(wanted.model, data.train, marks)
    objective = wanted.objective.initialize(data.train, base)
    held_out = data.validation if data.validation is not None else data.test
    if held_out is None:
        raise DataError("data.nothing-held-out", path=wanted.data.train)
    learnt: Sequence[Row] = data.train
    known = None
    if wanted.replay:
        beside = place.with_name("replay")
        learnt, known = replay.mix(wanted.replay, wanted.objective, data.train, beside, processor, base)
    model = load.model(wanted.model, objective.head(), base, processor)
    head = heads.fresh(model)
    loop = Loop(
        wanted.adapt.apply(model, objective), objective, processor, wanted.train, train=learnt, validation=held_out,
        head=head, learning_rate=FRESH_LEARNING_RATE if base.fresh else wanted.adapt.learning_rate, folder=folder,
        seed=wanted.seed, adaptation=wanted.adapt,
        probes=probes.begin(wanted.probes, place.with_name("probes"), base, processor, wanted.seed),
    )  # fmt: skip
    assert loop.held_out is not None
    judged = {"own": loop.held_out}
    if known is not None:
        judged["replayed"] = Encoded(objective, known, processor)
    return Begun(data, processor, loop, judged, len(learnt) - len(data.train))


def _repeats(begun: Begun) -> dict[str, int]:
    """How many training rows stand there before, and how many held-out rows are (nearly) learnt from."""
    report, rows = begun.data.report, begun.data.report["rows"]
    part = "validation" if "validation" in rows else "test"
    near = ((report["near_duplicates"] or {}).get("across") or {}).get(f"train/{part}", 0)
    return {
        "rows": rows["train"], "repeated": report["duplicates"]["within"]["train"],
        "held_out": rows[part], "near": near + report["duplicates"]["across"].get(f"train/{part}", 0),
    }  # fmt: skip


def _judged(begun: Begun) -> Judged:
    """The loss on the rows held out, and its parts."""
    loop = begun.loop
    return {
        name: validate(loop.objective, loop.model, begun.processor, features, (), seed=loop.seed)
        for name, features in begun.held_out.items()
    }


def _record(
    wanted: PretrainSpec, begun: Begun, before: Judged, after: Judged, resources: Mapping[str, Any]
) -> dict[str, Any]:
    loop = begun.loop
    told = {
        name: {part: {"untrained": before[name][part], "trained": value} for part, value in found.items()}
        for name, found in after.items()
    }
    own = {name: told["own"].pop(name) for name in FIGURES if name in told["own"]}
    writes = not told["own"] and loop.model.get_output_embeddings() is not None  # a loss of tokens, and of nothing else
    return {
        "objective": spec.dump(loop.objective),
        "model": spec.dump(wanted.model),
        "data": {
            "fingerprint": begun.data.fingerprint,
            "rows": begun.data.report.get("rows"),
            "repeats": _repeats(begun),
        },
        **own,
        "parts": told["own"],
        "perplexity": {when: math.exp(min(value, 100.0)) for when, value in own["loss"].items()} if writes else {},
        "replayed": {"rows": begun.replayed, "loss": told["replayed"]["loss"]} if "replayed" in told else None,
        "tokens": sum(loop.features.lengths),
        "truncated": loop.features.truncated,
        "cut": loop.features.cut,
        "unknown": loop.features.unknown,
        "resources": dict(resources),
        "seed": wanted.seed,
        "versions": versions(),
    }


def _write(path: Path, model: Any, processor: Any, record: Mapping[str, Any]) -> None:
    """A folder in the format of transformers, whole or not at all."""
    with publish.folder(path) as folder:
        heads.shed(model).save_pretrained(folder, safe_serialization=True)
        processor.save_pretrained(folder)
        for name, tower, reader in dual.apart(model, processor):
            tower.save_pretrained(folder / name, safe_serialization=True)
            reader.save_pretrained(folder / name)
        publish.write_text(folder / RECORD, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
        manifest.seal(folder)
