"""Label: find the rows without a label that a bundle would learn most from, and queue them with its guesses.

What the bundle says of the rows is kept beside the queue until the queue is written: a choice that was cut off goes on.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy
from annotated_types import Ge

from jishi.core import manifest, registry
from jishi.core.contracts import Acquisition, Row, Unlabelled, option
from jishi.core.errors import DataError, ModelError, UsageError
from jishi.data.spec import DataSpec
from jishi.lifecycle import queue, unlabelled
from jishi.lifecycle.pool import Pool, gather
from jishi.lifecycle.unlabelled import Said
from jishi.predictor import AT_ONCE, Predictor


@dataclass(frozen=True)
class LabelSpec:
    """What `jishi label` is asked for."""

    bundle: str = option(en="The bundle that says what it does not know yet.", zh="用于判断哪些行值得标注的模型包。")
    data: DataSpec = option(
        en="The rows to choose from: a file, or a folder of pictures; those that have a label are left out.",
        zh="待选数据：文件或图片目录；已有标签的行不再选取。",
    )
    out: str = option(
        en="The queue to write (.jsonl); what it holds already stays, and is not asked for again.",
        zh="要写入的队列文件（.jsonl）；其中已有的行保留，且不会重复选取。",
    )
    by: Acquisition = option(
        factory=lambda: registry.get(Acquisition, "margin")(),
        en="How rows are chosen.",
        zh="选取方式。",
        aliases=("strategy",),
    )
    count: Annotated[int, Ge(1)] = option(50, "How many rows to ask for.", "选取的行数。")
    labelled: tuple[str, ...] = option(
        (),
        "Files of rows that have labels, which are not asked for again; what was labelled from this queue is known anyway.",
        "已标注数据的文件，其中的行不会重复选取；由本队列标注的数据无需列出。",
    )
    seed: int = option(0, "Every random choice follows from it.", "所有随机选择都由它决定。")


def label(wanted: LabelSpec) -> dict[str, Any]:
    """Choose rows and add them to the queue: {"queue", "asked", "read", "left_out": {reason: rows}}.

    Raises UsageError where the task gives no probabilities, DataError where no row is left, RowError (file:line) at a bad one.
    """
    out = Path(wanted.out)
    if out.suffix != queue.ENDING:
        raise DataError("label.not-jsonl", path=out)
    predictor = Predictor.load(wanted.bundle)
    unlabelled.check(predictor)
    predictor.replay()
    if out.exists():
        queue.read(out)  # it must be one
    beside = [path for path in (out, queue.beside(out), queue.beside(out, queue.SKIPPED)) if path.exists()]
    pool = gather(wanted.data, predictor.task, [*beside, *map(Path, wanted.labelled)])
    work = out.with_name(f".{out.name}.said")
    try:
        work.mkdir(parents=True, exist_ok=True)
        said = _said(predictor, pool.rows, wanted, work, wanted.by.passes)
        chosen = wanted.by.choose(
            _seen(predictor, wanted, said, pool, work), wanted.count, numpy.random.default_rng(wanted.seed)
        )
        rows = list(pool.rows.values())
        queue.add(out, [_asked(predictor, wanted, rows[place], said, place) for place in chosen])
    except OSError as error:
        raise UsageError("label.not-written", path=out, reason=error.strerror) from None
    except ModelError:
        shutil.rmtree(work)
        raise
    shutil.rmtree(work)
    return {"queue": str(out), "asked": len(chosen), "read": pool.read, "left_out": dict(pool.left_out)}


def _said(predictor: Predictor, rows: Mapping[int, Row], wanted: LabelSpec, work: Path, passes: int) -> Said:
    """What the bundle says of rows, `AT_ONCE` at a time; what it has said before is read."""
    bundle = manifest.sha256(Path(wanted.bundle) / manifest.MANIFEST)
    parts = []
    for start in range(0, len(rows), AT_ONCE):
        some = list(rows)[start : start + AT_ONCE]
        name = hashlib.sha256(f"{bundle} {passes} {wanted.seed} {some}".encode()).hexdigest()
        file = work / f"{name}.npz"
        if not file.exists():
            _keep(file, unlabelled.ask(predictor, [rows[found] for found in some], passes, wanted.seed + start))
        with numpy.load(file) as part:
            parts.append(dict(part))
    axis = {"passes": 1}  # passes first, then rows
    return {name: numpy.concatenate([part[name] for part in parts], axis.get(name, 0)) for name in parts[0]}


def _keep(file: Path, said: Said) -> None:
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        numpy.savez(stream, **said)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


def _seen(predictor: Predictor, wanted: LabelSpec, said: Said, pool: Pool, work: Path) -> Unlabelled:
    """What a way to choose is given. Raises ModelError where it needs vectors and the head reads none."""
    by, vectors = wanted.by, said.get("vectors")
    if by.vectors and vectors is None:
        raise ModelError("label.no-vectors", method=registry.name_of(by))
    known = None
    if by.known and pool.known:
        known = _said(predictor, pool.known, wanted, work, 0).get("vectors")
    return Unlabelled(
        said["probabilities"],
        several=unlabelled.several(predictor),
        vectors=vectors,
        passes=said.get("passes"),
        labelled=known,
    )


def _asked(predictor: Predictor, wanted: LabelSpec, row: Row, said: Said, place: int) -> dict[str, Any]:
    """A row of the pool as it stands in the queue."""
    guess = queue.guess(
        predictor.task, unlabelled.labels(predictor), said["probabilities"][place], said["given"][place],
        several=unlabelled.several(predictor), by=registry.name_of(wanted.by),
    )  # fmt: skip
    return {**row, queue.GUESS: guess}
