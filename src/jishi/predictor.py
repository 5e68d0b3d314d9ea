"""A bundle that answers: raw rows in, predictions out, through the very methods it was trained with.

The life of a predictor:

    predictor = Predictor.load("runs/a/bundle")
    predictor.replay()                       # the recorded probes, answered again; BundleError where they differ
    predictor.predict(["很好用", "坏了"])     # [{"label": "positive", "score": 0.97, "scores": {…}}, …]
"""

import base64
import binascii
import io
import statistics
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, Self

import numpy

from jishi.core import bundle, registry
from jishi.core.contracts import Features, Modality, Prediction, Row, Runtime, Task, Written
from jishi.core.errors import BundleError, MissingExtra, ModelError, RowError, UsageError, did_you_mean
from jishi.core.script import script
from jishi.data.columns import canonical
from jishi.models import inference
from jishi.models.decoding import Decoding

TOLERANCE = 1e-4  # largest difference of an output (relative above 1) that is still the same answer
PROBES = 64
WRITTEN = 16  # probes of a task that writes its answers
AT_ONCE = 1024  # rows encoded and answered at a time: enough to find some of like length
POOL = 1000  # about as many rows are looked at to choose the probes from
PICTURE_BYTES = 32 * 1024  # a picture larger than this is recorded as its thumbnail
PICTURE_SIDE = 160
AUTO = "auto"
TRIAL_SECONDS = 0.5  # for which a runtime is timed where there is a choice


@dataclass(frozen=True)
class Replay:
    """What a replay found: probes answered, decisions that changed, the largest difference of an output or a score."""

    rows: int
    flips: int
    max_difference: float


@dataclass(frozen=True)
class Predictor:
    """A model with its task and processor. Safe to share between threads: one forward runs at a time."""

    model: Any
    task: Task
    processor: Any
    record: Mapping[str, Any]
    path: Path | None = None
    probes: Sequence[Mapping[str, Any]] = ()
    runtime: str = ""
    _lock: Any = field(default_factory=threading.RLock, repr=False, compare=False)

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = True, runtime: str = AUTO, shared: Any = None) -> Self:
        """The predictor of a bundle. `runtime` names what works its answers out; "auto" takes the quickest there is.

        Adapters that are given the same `models.shared.Shared` hold the weights of their base together. Raises BundleError
        where a file is damaged, ModelError where weights don't fit, UnknownName or UsageError where the runtime is none, or
        none for this bundle, MissingExtra where its library is not installed.
        """
        read = bundle.read(path, verify=verify)
        able = {name: kind for name in registry.names(Runtime) if any(read.path.glob((kind := _runtime(name)).reads))}
        if runtime != AUTO:
            if _runtime(runtime) not in able.values():
                raise UsageError("predictor.not-for-runtime", path=path, given=runtime, allowed=", ".join(able))
            able = {runtime: _runtime(runtime)}
        opened, refused = [], []
        for name, kind in able.items():
            try:
                model, processor = kind().open(read, shared)
            except (MissingExtra, ModelError) as error:  # another may be able to
                refused.append(error)
                continue
            opened.append(cls(model, read.task, processor, read.record, read.path, read.probes, name))
        if not opened:
            raise refused[0] if refused else ModelError("models.no-weights", path=path)
        return opened[0] if len(opened) == 1 else min(opened, key=_pace)

    def encode(self, raw: Any) -> Features:
        """One raw row as features: a mapping of columns, or a bare value for the first one. Raises RowError."""
        row = self._named(raw)
        with self._lock:
            return self.task.encode(self.task.parse(row, training=False), self.processor)

    def answer(self, features: Sequence[Features]) -> list[Prediction]:
        """The predictions of encoded rows, in their order; "truncated" is true where the end of a text was not read."""
        return self._decode(self._forward(features), features)

    def predict(self, raw_rows: Iterable[Any]) -> list[Prediction]:
        """The predictions of raw rows, in their order. Raises RowError for a row that is not fit for the task."""
        return list(self.stream(raw_rows))

    def stream(self, raw_rows: Iterable[Any]) -> Iterator[Prediction]:
        """As `predict`, some rows at a time: neither their features nor what the model said of them is kept."""
        rows = iter(raw_rows)
        while some := [self.encode(raw) for raw in islice(rows, AT_ONCE)]:
            yield from self.answer(some)

    def examine(self, rows: Sequence[Row]) -> Iterable[Prediction]:
        """The predictions of held-out rows, to be scored: with what only all of them together tell.

        Where a task writes its answers, each also says how well the model foresaw the reference: "nats", the negative
        log-probability of its "targets" together; and, of a pair, whether it was "preferred" to the rejected one (1, 0).
        """
        if self.task.generates:
            return ({**one, **self._foreseen(row)} for one, row in zip(self.stream(rows), rows, strict=True))
        if type(self.task).relate is Task.relate:
            return self.stream(rows)
        features = [self.encode(row) for row in rows]
        outputs = self._forward(features)
        return self.task.relate(self._decode(outputs, features), outputs, rows)

    def generate_stream(self, raw: Any) -> Iterator[str]:
        """The answer of a task that writes, in pieces of whole characters, each as soon as it is certain.

        Raises UsageError for a task that does not write.
        """
        if type(self.task).stream is Task.stream:
            raise UsageError("predictor.writes-nothing", task=registry.name_of(self.task))
        yield from filter(None, self.write(self.encode(raw)))

    def write(self, features: Features) -> Generator[str, None, Written]:
        """As `generate_stream`, of an encoded row and a piece a step; between two of them the model is free for others."""
        pieces = self.task.stream(self.model, features, self.processor)
        while True:
            with self._lock:
                try:
                    piece = next(pieces)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
            yield piece

    def written(self, features: Sequence[Features]) -> list[tuple[Prediction, int]]:
        """As `answer`, each with the number of tokens that were written."""
        outputs = self._forward(features)
        return list(zip(self._decode(outputs, features), map(len, outputs), strict=True))

    def begin(self, features: Sequence[Features]) -> list[Generator[None, None, tuple[Prediction, int]]]:
        """As `written`, each answer by itself and a step at a time, shared with whatever is written; none where all come at once.

        Between two steps the model is free for others; who lets go of an answer ends it.
        """
        with self._lock, inference.still(self.model):
            begun = self.task.begin(self.model, inference.batch(self.task, self.model, features, self.processor))
        return [self._finish(steps, row) for steps, row in zip(begun, features, strict=bool(begun))]

    def _finish(
        self, steps: Generator[None, None, Any], features: Features
    ) -> Generator[None, None, tuple[Prediction, int]]:
        while True:
            with self._lock:
                try:
                    next(steps)
                except StopIteration as end:
                    output = end.value.float().cpu()
                    break
            yield
        (prediction,) = self._decode([output], [features])
        return prediction, len(output)

    def writing(self, decoding: Decoding) -> Self:
        """This predictor, its answers written otherwise. Raises UsageError for a task that does not write."""
        if not self.task.generates:
            raise UsageError("predictor.writes-nothing", task=registry.name_of(self.task))
        decoding.check()
        return replace(self, task=replace(self.task, decoding=decoding))  # type: ignore[call-arg]

    def outputs(self, rows: Iterable[Any]) -> list[Any]:
        """What the model says before decoding: one tensor or array a row, (K,) or (T, K), fp32 on the CPU."""
        return self._forward([self.encode(row) for row in rows])

    def probe(self, rows: Sequence[Row], count: int = PROBES, seed: int = 0) -> list[dict[str, Any]]:
        """At most `count` of the rows with their answers, as a bundle records them: {"row", "prediction", "outputs"}.

        "row" is the inputs as JSON. A row whose decision hangs on less than the tolerance is left out: another machine
        might round it the other way.
        """
        if self.task.generates:  # to write is dear, and of texts none is of another kind than the rest
            count = min(count, WRITTEN)
            chosen: Sequence[Row] = [rows[index] for index in range(0, len(rows), max(1, len(rows) // count))][:count]
        else:
            pool = [rows[index] for index in range(0, len(rows), max(1, len(rows) // POOL))]
            chosen = choose(pool, self.predict(pool), count, seed)
        plain = [self.to_json(row) for row in chosen]
        features = [self.encode(self.from_json(row)) for row in plain]
        outputs = self._forward(features)
        predictions = self._decode(outputs, features)
        rng = numpy.random.default_rng(0)
        noise = [rng.uniform(-2 * TOLERANCE, 2 * TOLERANCE, output.shape).astype(numpy.float32) for output in outputs]
        above = self._decode([_moved(output, shake) for output, shake in zip(outputs, noise, strict=True)], features)
        below = self._decode([_moved(output, -shake) for output, shake in zip(outputs, noise, strict=True)], features)
        return [
            {"row": row, "prediction": prediction, "outputs": numpy.asarray(output, float).round(6).tolist()}
            for row, prediction, output, *shaken in zip(plain, predictions, outputs, above, below, strict=True)
            if all(decision(other) == decision(prediction) for other in shaken)
        ]

    def replay(self, tolerance: float = TOLERANCE) -> Replay:
        """Answer the recorded probes again. Raises BundleError("core.probe-mismatch") beyond the tolerance."""
        features = [self.encode(self.from_json(probe["row"])) for probe in self.probes]
        outputs = self._forward(features)
        flips, largest = 0, 0.0
        for probe, output, prediction in zip(self.probes, outputs, self._decode(outputs, features), strict=True):
            recorded = numpy.asarray(probe["outputs"], numpy.float32)
            if recorded.shape != tuple(output.shape) or decision(prediction) != decision(probe["prediction"]):
                flips += 1
                continue
            pairs = zip(numbers(prediction), numbers(probe["prediction"]), strict=True)
            scores = [abs(new - old) / max(1.0, abs(old)) for new, old in pairs]
            moved = numpy.abs(numpy.asarray(output) - recorded) / numpy.maximum(numpy.abs(recorded), 1.0)
            largest = float(numpy.max([largest, *scores, *moved.ravel()]))  # a NaN stays a NaN
        if flips or not largest <= tolerance:
            raise BundleError(
                "core.probe-mismatch",
                path=self.path,
                flips=flips,
                rows=len(self.probes),
                given=f"{largest:.2g}",
                allowed=tolerance,
            )
        return Replay(len(self.probes), flips, largest)

    def from_json(self, raw: Any) -> dict[str, Any]:
        """The raw row of a JSON value, a string or an object of the task's columns; pictures and sound are base64 text.

        A string from JSON is never taken for the path of a file. Raises RowError.
        """
        columns = self.task.columns
        given = self._named(raw)
        row: dict[str, Any] = {}
        for name, value in given.items():
            if name not in columns:
                hint = did_you_mean(str(name), columns)
                raise RowError("predictor.unknown-column", given=name, hint=hint, allowed=", ".join(columns))
            row[name] = _bytes(value, name) if value is not None and _binary(columns[name]) else value
        return row

    def to_json(self, row: Row) -> dict[str, Any]:
        """The inputs of a row as JSON, what `from_json` reads: large pictures as their thumbnail, targets left out."""
        given = {name: row[name] for name in self.task.columns if row.get(name) is not None}
        return {name: _base64(value) if _binary(self.task.columns[name]) else value for name, value in given.items()}

    def _named(self, raw: Any) -> Mapping[str, Any]:
        """A row under the task's own column names; a bare value is that of the first column."""
        task = self.task
        return canonical(raw, task.aliases) if isinstance(raw, Mapping) else {next(iter(task.columns)): raw}

    def _forward(self, features: Sequence[Features]) -> list[Any]:
        with self._lock:
            return inference.outputs(self.task, self.model, features, self.processor)

    def _foreseen(self, row: Row) -> dict[str, float]:
        features = self.encode(row)
        with self._lock, inference.still(self.model):
            batch = inference.batch(self.task, self.model, [features], self.processor)
            if "labels" not in batch:
                return {}
            loss = self.task.loss(self.model, batch)
        targets = loss.weight(1)
        found = {"nats": float(loss.value) * targets, "targets": float(targets)}
        if "preferred" in loss.parts:
            found["preferred"] = loss.parts["preferred"]
        return found

    def _decode(self, outputs: Sequence[Any], features: Sequence[Features]) -> list[Prediction]:
        if not features:
            return []
        predictions = self.task.decode(outputs, features, self.processor)
        cut = [{"truncated": True} if row.get("truncated") else {} for row in features]
        return [{**prediction, **mark} for prediction, mark in zip(predictions, cut, strict=True)]


def choose(rows: Sequence[Row], predictions: Sequence[Prediction], count: int = PROBES, seed: int = 0) -> list[Row]:
    """The rows worth recording as probes: every decision in every script in turn, of each its closest, clearest,
    shortest, longest."""
    rng = numpy.random.default_rng(seed)
    groups: dict[tuple[str, str], list[int]] = {}
    different = {
        tuple(value for value in row.values() if isinstance(value, str | bytes)): i for i, row in enumerate(rows)
    }
    for index in sorted(different.values()):
        groups.setdefault(_kind(rows[index], predictions[index]), []).append(index)
    orders = []
    for members in groups.values():
        by_margin = sorted(members, key=lambda index: _margin(predictions[index]))
        by_length = sorted(members, key=lambda index: _length(rows[index]))
        shuffled = rng.permutation(members).tolist()
        turns = zip(by_margin, reversed(by_margin), by_length, reversed(by_length), shuffled, strict=True)
        orders.append(list(dict.fromkeys(chain.from_iterable(turns))))
    chosen = [index for turn in zip_longest(*orders) for index in turn if index is not None][:count]
    return [rows[index] for index in sorted(chosen)]


def _moved(output: Any, shake: numpy.ndarray) -> Any:
    """An output, of its own kind, with something added to it."""
    return output + (output.new_tensor(shake) if hasattr(output, "new_tensor") else shake)


def _runtime(name: str) -> type[Runtime]:
    return registry.get(Runtime, name)


def _pace(predictor: Predictor) -> float:
    """The median seconds of an answer to one probe, after a first that warms up."""
    rows = [predictor.from_json(probe["row"]) for probe in predictor.probes]
    spent: list[float] = []
    while rows and sum(spent) < TRIAL_SECONDS:
        clock = time.perf_counter()
        predictor.predict([rows[len(spent) % len(rows)]])
        spent.append(time.perf_counter() - clock)
    return statistics.median(spent[1:] or spent or [0.0])


def decision(prediction: Any) -> Any:
    """What a prediction decides: all of it but the floating-point scores."""
    if isinstance(prediction, Mapping):
        return {key: decision(value) for key, value in prediction.items() if not isinstance(value, float)}
    if isinstance(prediction, list | tuple):
        return [decision(value) for value in prediction if not isinstance(value, float)]
    return prediction


def numbers(prediction: Any) -> Iterator[float]:
    """The floating-point scores of a prediction, in the order of their keys."""
    if isinstance(prediction, float):
        yield prediction
    elif isinstance(prediction, Mapping):
        for key in sorted(prediction):
            yield from numbers(prediction[key])
    elif isinstance(prediction, list | tuple):
        for value in prediction:
            yield from numbers(value)


def _kind(row: Row, prediction: Prediction) -> tuple[str, str]:
    """What sort of row it is: its label, its labels, or the labels of its entities; and what it is written in."""
    written = script(" ".join(value for value in row.values() if isinstance(value, str)))
    entities = {str(entity["label"]) for entity in prediction.get("entities", ())}
    return str(prediction.get("label", prediction.get("labels", sorted(entities)))), written


def _margin(prediction: Prediction) -> float:
    """How clear the answer is: the lead of the best score over the next, or the least sure of many scores."""
    if "label" in prediction:
        best = sorted(prediction.get("scores", {}).values())[-2:]
        return best[-1] - best[0] if len(best) > 1 else 1.0
    if "scores" in prediction:
        return min((abs(score - 0.5) for score in prediction["scores"].values()), default=1.0)
    return min((entity["score"] for entity in prediction.get("entities", ())), default=1.0)


def _length(row: Row) -> int:
    return sum(len(value) for value in row.values() if isinstance(value, str | bytes))


def _binary(modality: str) -> bool:
    return registry.get(Modality, modality.rstrip("?")).binary


def _bytes(value: Any, column: str) -> bytes:
    """Base64 text, with or without the `data:…;base64,` of a data URL, as bytes."""
    try:
        head, comma, tail = value.partition(",")
        return base64.b64decode(tail if comma and head.startswith("data:") else value, validate=True)
    except (AttributeError, ValueError, binascii.Error):
        raise RowError("predictor.not-base64", column=column) from None


def _base64(value: str | bytes | Path) -> str:
    data = value if isinstance(value, bytes) else Path(value).read_bytes()
    if len(data) > PICTURE_BYTES:
        data = _thumbnail(data)
    return base64.b64encode(data).decode()


def _thumbnail(data: bytes) -> bytes:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data)) as picture:
        small = ImageOps.exif_transpose(picture).convert("RGB")
    small.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    stream = io.BytesIO()
    small.save(stream, "PNG")
    return stream.getvalue()
