"""Fine-tune: data → model → adaptation → the loop → evaluation → bundle → the bundle read back and replayed."""

import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch

from jishi.core import bundle, registry, spec
from jishi.core.contracts import Adaptation, Base, Evaluator, Launcher, Prediction, Rival, Row, Task, option
from jishi.core.errors import BundleError, DataError, ModelError, TrainingError, UsageError
from jishi.core.kept import keep
from jishi.data import columns
from jishi.data.dataset import Dataset
from jishi.data.infer import infer
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec
from jishi.lifecycle import card, processes, report, rounds, semi_supervised
from jishi.lifecycle.calibration import calibrated
from jishi.lifecycle.footprint import resident_bytes
from jishi.lifecycle.rounds import Listener, Trained
from jishi.lifecycle.semi_supervised import Others, UnlabelledSpec
from jishi.models import adapters, heads, learnt, load
from jishi.models.inference import outputs
from jishi.models.spec import ModelSpec
from jishi.predictor import TOLERANCE, WRITTEN, Predictor
from jishi.training.consistency import Consistency
from jishi.training.loop import Event, Loop
from jishi.training.optimizer import FRESH_LEARNING_RATE
from jishi.training.ranks import Ranks
from jishi.training.run import Run, versions
from jishi.training.spec import TrainSpec
from jishi.training.storage import Store

PARITY_ROWS = 64  # held-out rows answered before and after a merge
COIN_TOSS = 1e-2  # a token chosen by less may be another one after a merge
ANSWERED_ROWS = 10_000  # that a rival is asked at once


@dataclass(frozen=True)
class FinetuneSpec:
    """What `jishi finetune` is asked for."""

    data: DataSpec = option(
        en="The rows: a file, or a folder that `jishi prepare` wrote.", zh="数据：文件，或 `jishi prepare` 生成的目录。"
    )
    out: str = option(
        en="The run directory to write: a path, or a URL (s3://…, file://…) to which checkpoints and the bundle are copied.",
        zh="要写入的运行目录：路径，或 URL（s3://…、file://…），检查点与模型包会复制到该处。",
        aliases=("output_dir",),
    )
    model: ModelSpec = option(factory=ModelSpec, en="The base model.", zh="基础模型。", aliases=("model_name_or_path",))
    task: Task | None = option(
        None, "The task; left out, the one the columns of the data fit.", "任务；省略时按数据的列推断。"
    )
    adapt: Adaptation = option(
        factory=lambda: registry.get(Adaptation, "full")(),
        en="Which weights learn, and how.",
        zh="哪些权重参与学习、如何学习。",
    )
    bundle: Literal["whole", "adapter"] = option(
        "whole",
        "What the bundle holds: the whole model, or an adapter: what was learnt, as peft reads it, beside the base it names.",
        "模型包的内容：whole 为完整模型；adapter 仅保存学到的部分（peft 可读），并注明所属基座。",
    )
    train: TrainSpec = option(factory=TrainSpec, en="How training runs.", zh="训练设置。")
    unlabelled: UnlabelledSpec | None = option(
        None,
        "Rows without labels to learn from beside the others, where labels are few.",
        "标签很少时，一并学习的无标签数据。",
    )
    evaluate: Evaluator = option(
        factory=lambda: registry.get(Evaluator, "task-score")(), en="How the result is judged.", zh="如何评估结果。"
    )
    seed: int = option(0, "Every random choice follows from it.", "所有随机选择都由它决定。")
    resume: Literal["auto", "never"] = option(
        "auto",
        "auto goes on from the newest checkpoint of the same spec; never starts over.",
        "auto 从同一规格的最新检查点继续；never 重新开始。",
    )
    on: Launcher | None = option(
        None, "Where it runs; left out, in the process that is asked.", "在何处运行；省略时就在当前进程。"
    )


@dataclass(frozen=True)
class Result:
    """What a run came to. `bundle` is None where training was interrupted, and in all processes but the first."""

    folder: Path
    bundle: Path | None
    evaluation: Mapping[str, Any]
    resources: Mapping[str, Any]
    baseline: str = ""
    interrupted: bool = False


@dataclass(frozen=True)
class Known:
    """What is settled before there is a model. `others` are the rows without labels."""

    task: Task
    adapt: Adaptation
    data: Dataset
    base: Base
    processor: Any
    others: Others | None


@dataclass(frozen=True)
class Begun(Known):
    """What a run starts from, ready to train. `held_out` are the rows that judge: the test rows, else the validation rows."""

    held_out: Sequence[Row]
    part: str
    untuned: Sequence[Prediction]
    loop: Loop
    again: Callable[[Sequence[Row], Path], Loop]  # the training of the base anew, on other rows


def finetune(wanted: FinetuneSpec, listen: Listener, watch: Callable[[Loop], None]) -> Result:
    """Run the whole path. `listen` hears every event; `watch` is handed the loop, so that a face can stop it."""
    if wanted.on is None:
        with processes.together("finetune", spec.dump(wanted), wanted.train.devices):
            return _here(wanted, listen, watch)
    work = partial(_there, wanted, Path.cwd())
    result = Result(**wanted.on.run(work, lambda event: listen(Event(**event)), watch))
    store = Store.of(wanted.out)
    if store is None or result.bundle is None:
        return result
    bundle = store.folder / result.bundle.name  # that of this machine
    if not store.get(bundle):
        raise TrainingError("training.store-fails", url=wanted.out, reason=bundle.name)
    return replace(result, folder=store.folder, bundle=bundle)


def _there(wanted: FinetuneSpec, place: Path, tell: Callable[[Any], None], watch: Callable[[Loop], None]) -> Any:
    """What each process of a launched run does: tells and returns plain values. Paths are read as in the folder `place`."""
    if not place.is_dir():
        raise TrainingError("training.place-missing", path=place)
    os.chdir(place)
    return asdict(_here(wanted, lambda event: tell(asdict(event)), watch))


def _here(wanted: FinetuneSpec, listen: Listener, watch: Callable[[Loop], None]) -> Result:
    """The whole path in this process, and in those it trains with."""
    resume = wanted.resume == "auto"
    if Ranks.join().rank:
        return _follow(wanted, watch, resume=resume)
    store = Store.of(wanted.out)
    folder = store.folder if store else Path(wanted.out)
    with Run.open(folder, spec.dump(wanted), resume=resume, store=store) as run:
        clock = time.monotonic()
        begun = start(wanted, rounds.place(wanted.unlabelled, folder), folder / "data", store)
        trained = rounds.train(wanted.unlabelled, begun, run, listen, watch, resume=resume)
        if trained is None:
            run.status("interrupted")
            return Result(folder, None, {}, {}, interrupted=True)
        result = _conclude(
            wanted,
            run,
            replace(begun, loop=trained.loop),
            trained,
            {**trained.facts, "seconds": time.monotonic() - clock},
        )
        if store and result.bundle:
            store.put(result.bundle)
        return result


def _follow(wanted: FinetuneSpec, watch: Callable[[Loop], None], *, resume: bool) -> Result:
    """What every process but the first does: prepare for itself, train along, and leave all else to the first."""
    with tempfile.TemporaryDirectory() as own:
        store = Store.of(wanted.out, Path(own))
        loop = start(wanted, store.folder if store else Path(wanted.out), Path(own) / "data", store).loop
        watch(loop)
        last = deque(loop.events(resume=resume), maxlen=1)[0]
    return Result(Path(wanted.out), None, {}, {}, interrupted=last.kind == "interrupted")


def start(
    wanted: FinetuneSpec, folder: Path, rows: Path | None = None, store: Store | None = None, *, untuned: bool = True
) -> Begun:
    """Prepare the rows, load and adapt the model, and record what it answers before it has learnt, where `untuned`.

    The prepared rows are written to `rows`, or beside the run.
    """
    torch.manual_seed(wanted.seed)
    base = load.base(wanted.model)
    task = wanted.task or infer(wanted.data)
    columns.check_reader(task, base)
    if not wanted.adapt.supports(task):
        names = {"method": registry.name_of(wanted.adapt), "task": registry.name_of(task)}
        raise ModelError("adaptation.not-for-task", **names)
    if wanted.bundle == "adapter":
        learnt.check_base(wanted.model)
    processor = None if load.learns_processor(wanted.model) else load.processor(wanted.model)
    data = prepare(wanted.data, task, rows or folder / "data", processor=processor, base=base)
    others = semi_supervised.gather(wanted.unlabelled, task, data) if wanted.unlabelled else None
    seen = semi_supervised.together(data.train, others.rows) if others else data.train
    processor = processor or load.processor(wanted.model, seen)
    task, adapt = task.initialize(data.train, base), wanted.adapt.initialize(processor)
    _check_unlabelled(wanted, task, data)
    part, held_out = ("test", data.test) if data.test is not None else ("validation", data.validation)
    if held_out is None:
        raise DataError("data.nothing-held-out", path=wanted.data.train)
    known = Known(task, adapt, data, base, processor, others)
    model = load.model(wanted.model, task.head(), base, processor)
    answers = keep(Predictor(model, task, processor, {}).examine(held_out)) if untuned else ()
    loop = _loop(wanted, known, model, data.train, folder, store)
    again = partial(_again, wanted, known)
    return Begun(**vars(known), held_out=held_out, part=part, untuned=answers, loop=loop, again=again)


def _again(wanted: FinetuneSpec, known: Known, rows: Sequence[Row], folder: Path) -> Loop:
    torch.manual_seed(wanted.seed)
    model = load.model(wanted.model, known.task.head(), known.base, known.processor)
    return _loop(wanted, known, model, rows, folder)


def _check_unlabelled(wanted: FinetuneSpec, task: Task, data: Dataset) -> None:
    """Whether rows without labels can be learnt from as asked. Raises UsageError, DataError or TrainingError."""
    if wanted.unlabelled is None:
        return
    semi_supervised.check(task)
    if not wanted.unlabelled.method.rounds:
        return
    if data.validation is None:
        raise DataError("training.unlabelled-no-validation")
    if Ranks.join().count > 1 or "://" in wanted.out:
        raise UsageError("training.unlabelled-alone", method=registry.name_of(wanted.unlabelled.method))


def _loop(
    wanted: FinetuneSpec, known: Known, model: Any, rows: Sequence[Row], folder: Path, store: Store | None = None
) -> Loop:
    """The training of a model as it was loaded on rows that have labels."""
    task, adapt, processor, beside = known.task, known.adapt, known.processor, None
    if wanted.unlabelled and known.others and not wanted.unlabelled.method.rounds:
        beside = Consistency.of(wanted.unlabelled.method, task, known.others.rows, processor, wanted.train, len(rows))
    head = heads.fresh(model)
    adapted = adapt.apply(model, task)
    if wanted.bundle == "adapter":
        learnt.check_size(adapted)
    return Loop(
        adapted, task, processor, wanted.train,
        train=rows, validation=known.data.validation, head=head,
        learning_rate=FRESH_LEARNING_RATE if known.base.fresh else adapt.learning_rate, folder=folder, seed=wanted.seed,
        store=store, adaptation=adapt, unlabelled=beside,
    )  # fmt: skip


def _conclude(wanted: FinetuneSpec, run: Run, begun: Begun, trained: Trained, resources: dict[str, Any]) -> Result:
    """Merge, calibrate, evaluate, write the bundle, read it back and hold it to its probes."""
    adapted, apart = begun.loop.model, wanted.bundle == "adapter"
    merged, parity = (learnt.plain(adapted), []) if apart else _merged(begun)
    predictor = calibrated(Predictor(merged, begun.task, begun.processor, {}), begun.data.validation)
    task = predictor.task
    rival = task.baseline(begun.data.train)
    evaluation = wanted.evaluate.evaluate(
        predictor,
        begun.held_out,
        rivals={rival.name: keep(_answers(rival, begun.held_out)), "untuned": begun.untuned},
    )
    evaluation = {**evaluation, "part": begun.part, "baseline": rival.name}
    resources = {**resources, "peak_memory": resident_bytes()}
    path = run.folder / "bundle"
    record = _record(wanted, begun, task, evaluation, parity, trained.told)
    if apart:
        record["base"] = learnt.base(wanted.model, path)
        resources |= {"adapter_bytes": learnt.size_of(adapted), "base_bytes": record["base"]["bytes"]}
    whole = adapters.Apart(merged) if begun.adapt.beside else merged
    bundle.write(
        path, model=learnt.Learnt(adapted, wanted.model.name) if apart else whole,
        processor=None if apart else begun.processor, record=record,
        probes=predictor.probe(begun.held_out), card=card.card(record),
    )  # fmt: skip
    replay = Predictor.load(path).replay()
    run.write("evaluation.json", evaluation)
    report.write(
        run.folder,
        {
            "spec": spec.dump(wanted), "data": {**begun.data.report, **trained.told}, "events": trained.events,
            "evaluation": evaluation,
            "resources": resources, "versions": versions(),
        },
    )  # fmt: skip
    parity = {"hop": "reload", "rows": replay.rows, "flips": replay.flips, "max_difference": replay.max_difference}
    run.status("complete", resources=resources, parity=parity, scores=record["scores"])
    return Result(run.folder, path, evaluation, resources, rival.name)


def _merged(begun: Begun) -> tuple[Any, list[dict[str, Any]]]:
    """The plain model, and how far folding in moved its answers. Raises BundleError as `_moved` does."""
    written = begun.task.generates
    count = min(WRITTEN if written else PARITY_ROWS, len(begun.held_out))
    sample = [begun.held_out[index] for index in range(count)]
    before = _outputs(begun, begun.loop.model, sample)
    merged = begun.adapt.merge(begun.loop.model)
    moved = _moved(before, _outputs(begun, merged, sample), written=written)
    return merged, [{"hop": "merge", "rows": len(sample), "max_difference": moved}]


def _answers(rival: Rival, rows: Sequence[Row]) -> Iterator[Prediction]:
    """What a rival says, some rows at a time."""
    source = iter(rows)
    while some := list(islice(source, ANSWERED_ROWS)):
        yield from rival.predict(some)


def _moved(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], *, written: bool = False) -> float:
    """The largest difference of an output (relative above 1). Raises BundleError where merging changed the answers.

    Written answers (N, 3) are compared up to the first token that was chosen by less than rounding may decide.
    """
    pairs = [_certain(old, new) if written else (old, new) for old, new in zip(before, after, strict=True)]
    moved = max(
        (float(((new - old).abs() / old.abs().clamp(min=1)).max()) for old, new in pairs if len(old)), default=0.0
    )
    if not moved <= TOLERANCE:
        raise BundleError("core.merge-mismatch", given=f"{moved:.2g}", allowed=TOLERANCE)
    return moved


def _certain(old: torch.Tensor, new: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    tossed = (old[:, 2] < COIN_TOSS).nonzero()
    count = int(tossed[0]) if len(tossed) else len(old)
    if len(new) < count:
        raise BundleError("core.merge-mismatch", given=f"{count - len(new)}", allowed=TOLERANCE)
    return old[:count], new[:count]


def _record(
    wanted: FinetuneSpec, begun: Begun, task: Task, evaluation: Mapping[str, Any], parity: list[dict[str, Any]],
    told: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The bundle's `jishi.json`."""
    return {
        "task": spec.dump(task),
        "adaptation": spec.dump(begun.adapt),
        "model": {**spec.dump(wanted.model), "base": begun.base.name},
        "data": {"fingerprint": begun.data.fingerprint, "rows": begun.data.report.get("rows"), **told},
        "scores": {"part": begun.part, "rows": evaluation["rows"], **evaluation["scores"]},
        "metric": evaluation["metric"],
        "level": evaluation["level"],
        "calibration": {
            name: evaluation["calibration"][name] for name in ("ece", "brier") if evaluation["calibration"]
        },
        "rivals": {name: entry["scores"] for name, entry in evaluation["rivals"].items()},
        "parity": parity,
        "parent": None,
        "seed": wanted.seed,
        "versions": versions(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _outputs(begun: Begun, model: Any, rows: Sequence[Row]) -> list[torch.Tensor]:
    features = [begun.task.encode(row, begun.processor) for row in rows]
    return outputs(begun.task, model, features, begun.processor)
