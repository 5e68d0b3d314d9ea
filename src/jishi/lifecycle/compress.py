"""Compress: a bundle in, a smaller or quicker one out, read back and held to the answers of the first before it is published."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from jishi.core import bundle, registry, spec
from jishi.core.contracts import Compressor, Evaluator, Prediction, option
from jishi.core.errors import DataError, UsageError
from jishi.core.kept import keep
from jishi.core.values import Compressed
from jishi.data.spec import DataSpec
from jishi.lifecycle import card, heal, parity
from jishi.lifecycle.calibration import calibrated
from jishi.lifecycle.goal import Goal
from jishi.lifecycle.judged import Judged, judged
from jishi.lifecycle.rounds import Listener
from jishi.models import adapters
from jishi.models.folder import GRAPH
from jishi.models.graph_model import Graph
from jishi.models.plain_tokenizer import PlainTokenizer
from jishi.predictor import Predictor
from jishi.training.run import versions
from jishi.training.spec import TrainSpec

BEFORE = "before"  # what the bundle that is compressed is called beside what comes of it


@dataclass(frozen=True)
class CompressSpec:
    """What `jishi compress` is asked for."""

    bundle: str = option(en="The bundle to make smaller or quicker.", zh="要压缩的模型包。")
    out: str = option(en="The folder of the new bundle.", zh="新模型包的目录。")
    method: tuple[Compressor, ...] = option(
        (),
        "How (onnx, int8, int4, pruning, low-rank, vocabulary), one way after the other. With a search, the ways that it tries.",
        "方法（onnx、int8、int4、pruning、low-rank、vocabulary），可依次使用多种；设有 search 时为待尝试的方法。",
    )
    search: Goal | None = option(
        None,
        "What the new bundle is to keep to: several ways are tried, and the best score of those that keep to it is written.",
        "新模型包须满足的目标：尝试多种方法，写出满足目标者中得分最高的一个。",
    )
    data: DataSpec | None = option(
        None,
        "The rows: their test part judges, their training part is what methods fit themselves to; a file judges as a whole. Left "
        "out, the rows that the bundle's run has kept beside it.",
        "数据：其测试部分用于评判，训练部分供需要拟合的方法使用；若为文件则全部用于评判。省略时使用运行目录中保存的数据。",
    )
    tolerance: Annotated[float, Field(ge=0)] = option(
        0.01,
        "How far the score that decides may fall below that of the bundle given; what loses nothing must answer the same.",
        "主指标相对原模型包最多可下降多少；无损方法则须给出相同答案。",
    )
    train: TrainSpec = option(
        factory=TrainSpec,
        en="How a method that takes parts of the model away (pruning, low-rank) trains what is left.",
        zh="去掉模型部分结构的方法（pruning、low-rank）如何训练剩余部分。",
    )
    evaluate: Evaluator = option(
        factory=lambda: registry.get(Evaluator, "task-score")(), en="How both are judged.", zh="如何评估。"
    )


def compress(wanted: CompressSpec, listen: Listener) -> dict[str, Any]:
    """{"out", "bytes" before and after, "hops": what each method changed}. Nothing is written where one changes too much.

    `listen` hears the training of what is left where a method took parts away.

    Raises BundleError there, UsageError, DataError or ModelError where a method can't be used.
    """
    with begun(wanted, listen) as start:
        hops, here, last = [], start.first, start.answers
        for place, method in enumerate(wanted.method, start=1):
            target = Path(wanted.out) if place == len(wanted.method) else start.folder / f"hop-{place}"
            here, changed, last = hop(wanted, start, method, here, last, target)
            hops.append(changed)
    sizes = {BEFORE: _bytes(Path(wanted.bundle)), "after": _bytes(Path(wanted.out))}
    return {"out": wanted.out, "runtime": here.runtime, "bytes": sizes, "part": start.rows.part, "hops": hops}


@dataclass(frozen=True)
class Begun:
    """The bundle given, the rows that judge, its answers to them, a folder that is gone afterwards, and who hears."""

    first: Predictor
    rows: Judged
    answers: Sequence[Prediction]
    folder: Path
    listen: Listener


@contextmanager
def begun(wanted: CompressSpec, listen: Listener) -> Iterator[Begun]:
    """Raises UsageError and DataError where a spec can't be carried out, BundleError where the bundle is not what it was."""
    _check(wanted)
    first = Predictor.load(wanted.bundle)
    first.replay()
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(wanted, first, Path(folder) / "data")
        yield Begun(first, rows, keep(first.examine(rows.rows)), Path(folder), listen)


def _check(wanted: CompressSpec) -> None:
    if not wanted.method and wanted.search is None:
        raise UsageError("compress.no-method", allowed=", ".join(registry.names(Compressor)))
    out, given = Path(wanted.out), Path(wanted.bundle).resolve()
    inside = (given / bundle.RECORD).is_file() and out.resolve().is_relative_to(
        given
    )  # a bundle is read only: it would no longer be what its manifest says
    if inside or (out.exists() and not (out / bundle.RECORD).is_file()):
        raise UsageError("compress.out-taken", path=out)


def _rows(wanted: CompressSpec, first: Predictor, folder: Path) -> Judged:
    """Raises DataError where there are none, or where they have labels that the bundle does not know."""
    beside = Path(wanted.bundle).absolute().parent / "data"
    if wanted.data is None and not beside.is_dir():
        raise UsageError("compress.no-data", path=beside)
    found = judged(wanted.data or DataSpec(str(beside)), first.task, folder)
    labels = getattr(first.task, "labels", ())
    unknown = {row["label"] for row in found.rows if isinstance(row.get("label"), str)} - set(labels) if labels else ()
    if unknown:
        raise DataError("compress.other-labels", given=min(unknown), allowed=", ".join(labels[:20]))
    return found


def hop(
    wanted: CompressSpec, start: Begun, method: Compressor, here: Predictor, last: Sequence[Prediction], target: Path
) -> tuple[Predictor, dict[str, Any], Sequence[Prediction]]:
    """One method: what comes of it is written, read back, compared, and published if it may be; what it changed; its answers.

    `last` are the answers of `here`; the score is held to that of the bundle given.
    """
    name, rows = registry.name_of(method), start.rows
    if method.learns and not rows.train:
        raise UsageError("compress.needs-rows", method=name)
    tried = rows.train if method.learns else [here.from_json(probe["row"]) for probe in here.probes]
    made_of, healed = Compressed(*method.apply(here, tried)), {}
    if made_of.teaching:
        with tempfile.TemporaryDirectory() as own:
            healed = {"healed": heal.heal(made_of, here, rows, wanted.train, Path(own), start.listen)}
    model, processor = made_of.written(made_of.model), made_of.processor
    apart = isinstance(model, nn.Module) and adapters.weights(model)
    alone = {key: value for key, value in here.record.items() if key != "base"}  # it brings its own weights and words
    with bundle.publishing(target) as folder:
        bundle.fill(folder, adapters.Apart(model) if apart else model, processor)
        bundle.describe(folder, alone, here.probes, "")
        made = Predictor.load(folder)
        if not method.lossless:
            made = calibrated(made, rows.validation)
            alone["task"] = spec.dump(made.task)
        found = keep(made.examine(rows.rows))
        probed, moved = parity.probed(here, made), parity.difference(last, found)
        evaluation = wanted.evaluate.evaluate(made, rows.rows, predictions=found, rivals={BEFORE: start.answers})
        pair = _pair(evaluation)
        if method.lossless:
            parity.same(name, probed, moved)
        else:
            parity.near(name, moved, evaluation["metric"], pair, wanted.tolerance)
        changed = {
            "hop": name, **healed, **probed.dump(), "part": rows.part, "judged": moved.dump(),
            "metric": evaluation["metric"], **pair,
        }  # fmt: skip
        parent = {
            "parent": bundle.read(wanted.bundle, verify=False).fingerprint,
            "graph": (folder / GRAPH).is_file(),
        }
        record = {**_record(alone, method, rows, evaluation, changed), **parent}
        probes = here.probes if method.lossless else made.probe(rows.rows)
        bundle.describe(folder, record, probes, card.card(record))
        made = Predictor.load(folder)
        made.replay()
    for held in (made.model, made.processor):
        if isinstance(held, Graph | PlainTokenizer):
            held.folder = target  # what stands beside it is read when it is asked for
    return replace(made, path=target), changed, found


def _pair(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The score that decides, before and after, and the difference with its interval."""
    metric, rival = evaluation["metric"], evaluation["rivals"][BEFORE]
    scores = {BEFORE: rival["scores"][metric]["value"], "after": evaluation["scores"][metric]["value"]}
    return {**scores, **{name: rival[name] for name in ("difference", "low", "high", "p_value")}}


def _record(
    old: Mapping[str, Any],
    method: Compressor,
    rows: Judged,
    evaluation: dict[str, Any],
    hop: dict[str, Any],
) -> dict[str, Any]:
    """The new bundle's `jishi.json`: what it was trained on stays, the scores are its own, and what was done to it is told."""
    same = rows.data.fingerprint == old["data"]["fingerprint"]
    return {
        **old,
        "scores": {"part": rows.part, "rows": evaluation["rows"], **evaluation["scores"]},
        "level": evaluation["level"],
        "calibration": {
            name: evaluation["calibration"][name] for name in ("ece", "brier") if evaluation["calibration"]
        },
        "rivals": {**(old["rivals"] if same else {}), BEFORE: evaluation["rivals"][BEFORE]["scores"]},
        "parity": [*old["parity"], hop],
        "compression": [*old.get("compression", ()), spec.dump(method)],
        "versions": versions(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
