"""Label errors: rows whose given label is contradicted by a probe that has not seen them (confident learning, arXiv:1911.00068).

The probe is linear, on the features of a frozen model (`cross_validated`); what is too unlikely for its label, as cleanlab
counts it, is put into a queue, most suspect first, to be looked through and put right like any other.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy
from annotated_types import Ge

from jishi.core import publish
from jishi.core.contracts import Row, Task, option
from jishi.core.errors import DataError, MissingExtra, ModelError
from jishi.data import columns
from jishi.data.infer import infer
from jishi.data.spec import DataSpec
from jishi.lifecycle import cross_validated, queue, unlabelled
from jishi.lifecycle.pool import Reader
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.predictor import AT_ONCE, Predictor

BY, WHERE = "label-errors", "where"
FEWEST = 2  # different inputs of a label: one alone can't be judged by others


@dataclass(frozen=True)
class ErrorsSpec:
    """What `jishi label errors` is asked for."""

    data: DataSpec = option(
        en="The labelled rows to look through: a file or an image folder.", zh="要检查的已标注数据：文件或图片目录。"
    )
    out: str = option(
        en="The list to write (.jsonl), most suspect first: a queue to look through with jishi label page.",
        zh="要写入的清单（.jsonl），最可疑的在前；可用 jishi label page 逐条复核。",
    )
    rest: str | None = option(None, "Where all other rows go (.jsonl).", "其余数据写入何处（.jsonl）。")
    task: Task | None = option(None, "The task; empty: read off the columns.", "任务；留空则由列名判断。")
    model: ModelSpec = option(
        factory=ModelSpec,
        en="The model whose features the probe reads, one that has not learnt these labels.",
        zh="提供特征的模型，不应学过这些标签。",
    )
    folds: Annotated[int, Ge(2)] = option(5, "Parts of the rows, each judged by the others.", "交叉验证的折数。")
    seed: int = option(0, "Every random choice follows from it.", "所有随机选择都由它决定。")


@dataclass
class Given:
    """Labelled rows, each with the hash of its input and the place it stands at; of what was left out, how many and why."""

    rows: list[Row] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    read: int = 0

    def pick(self, kept: Sequence[int]) -> "Given":
        """Some of the rows."""
        columns = ([column[place] for place in kept] for column in (self.rows, self.hashes, self.places))
        return Given(*columns, self.left_out, self.read)


def label_errors(wanted: ErrorsSpec) -> dict[str, Any]:
    """Write the suspects: {"errors", "read", "suspects", "accuracy", "left_out": {reason: rows}}.

    "accuracy" is the share of rows (of several labels: of labels) that the probe, which has not seen them, answers as given.
    Raises DataError where rows have no labels or one only, RowError (file:line) at a bad one.
    """
    out, rest = Path(wanted.out), Path(wanted.rest) if wanted.rest else None
    for path in (out, rest or out):
        if path.suffix != queue.ENDING:
            raise DataError("label.not-jsonl", path=path)
    cleanlab()
    base, task = load.base(wanted.model), wanted.task or infer(wanted.data)
    if base.fresh:
        raise ModelError("label.fresh-model", name=wanted.model.name)
    columns.check_reader(task, base)
    every = gather(wanted.data, task)
    task = task.initialize(every.rows, base)
    given = every.pick(judged(every))
    if len(given.rows) < len(every.rows):
        every.left_out["too_few"] = len(every.rows) - len(given.rows)
    processor = load.processor(wanted.model)
    predictor = Predictor(load.model(wanted.model, task.head(), base, processor), task, processor, {})
    unlabelled.check(predictor)
    several, labels = unlabelled.several(predictor), unlabelled.labels(predictor)
    targets = numpy.array([[one in _set(row) for one in labels] for row in given.rows])
    groups = numpy.unique(given.hashes, return_inverse=True)[1]
    vectors = _vectors(predictor, given.rows)
    said = cross_validated.probabilities(
        vectors, targets, groups, several=several, folds=wanted.folds, seed=wanted.seed
    )
    answers = said >= 0.5 if several else numpy.eye(len(labels), dtype=bool)[said.argmax(1)]
    found = suspects(targets, said, several=several)
    publish.write_text(
        out, "".join(queue.line(_suspect(given, place, task, said, answers, several)) for place in found)
    )
    if rest:
        suspected = {given.places[place] for place in found}
        kept = [row for row, where in zip(every.rows, every.places, strict=True) if where not in suspected]
        publish.write_text(rest, "".join(map(queue.line, kept)))
    right = (answers == targets).mean() if several else (answers == targets).all(1).mean()
    told = {"errors": str(out), "read": every.read, "suspects": len(found), "accuracy": float(right)}
    return {**told, "left_out": dict(every.left_out)}


def cleanlab() -> Any:
    """The library. Raises MissingExtra."""
    try:
        import cleanlab.filter
        import cleanlab.multilabel_classification.filter
    except ModuleNotFoundError as missing:
        raise MissingExtra(str(missing.name), "label") from None
    return cleanlab


def gather(data: DataSpec, task: Task) -> Given:
    """Read the rows that have a label. Raises RowError (file:line) at a bad one, unless they are skipped."""
    found, reader = Given(), Reader(task)
    for where, number, row in reader.rows(data, found.left_out):
        if row.get(queue.LABEL) is None:
            found.left_out["open"] += 1
            continue
        found.rows.append(row)
        found.hashes.append(number)
        found.places.append(where)
    found.read = reader.seen
    if not found.rows:
        raise DataError("label.no-labels", path=data.train, given=found.read, reasons=f"open {found.left_out['open']}")
    return found


def judged(given: Given) -> list[int]:
    """Places of the rows whose label other inputs have too; of several labels a row, of all."""
    inputs: dict[Any, set[int]] = {}
    for row, number in zip(given.rows, given.hashes, strict=True):
        if not isinstance(row[queue.LABEL], list):
            inputs.setdefault(row[queue.LABEL], set()).add(number)
    rare = {label for label, numbers in inputs.items() if len(numbers) < FEWEST}
    return [
        place
        for place, row in enumerate(given.rows)
        if isinstance(row[queue.LABEL], list) or row[queue.LABEL] not in rare
    ]


def suspects(targets: numpy.ndarray, said: numpy.ndarray, *, several: bool) -> list[int]:
    """Places of the rows whose targets (N, K) the unseen probabilities (N, K) contradict, most suspect first."""
    if several:
        labels = [numpy.flatnonzero(row).tolist() for row in targets]
        find, ranked = cleanlab().multilabel_classification.filter.find_label_issues, "self_confidence"
        found = find(labels, said, return_indices_ranked_by=ranked, n_jobs=1)
    else:
        met = numpy.flatnonzero(targets.any(0))  # a label that no judged row has would be a class without rows
        labels = numpy.searchsorted(met, targets.argmax(1))
        shares = said[:, met] / numpy.maximum(said[:, met].sum(1, keepdims=True), numpy.finfo(float).tiny)
        found = cleanlab().filter.find_label_issues(
            labels, shares, return_indices_ranked_by="normalized_margin", n_jobs=1
        )
    return [int(place) for place in found]


def _vectors(predictor: Predictor, rows: Sequence[Row]) -> numpy.ndarray:
    """What the head reads of each row (N, D). Raises ModelError where it reads no single vector."""
    parts = [unlabelled.ask(predictor, rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE)]
    if any("vectors" not in part for part in parts):
        raise ModelError("label.no-vectors", method=BY)
    return numpy.concatenate([part["vectors"] for part in parts])


def _suspect(
    given: Given, place: int, task: Task, said: numpy.ndarray, answers: numpy.ndarray, several: bool
) -> Mapping[str, Any]:
    """A row of the list: where it stands, with the label it was given, and what the probe says instead."""
    labels: Sequence[str] = task.labels  # type: ignore[attr-defined]
    guess = queue.guess(task, labels, said[place], answers[place], several=several, by=BY)
    return {WHERE: given.places[place], **given.rows[place], queue.GUESS: guess}


def _set(row: Row) -> set[str]:
    label = row[queue.LABEL]
    return set(label) if isinstance(label, list) else {label}
