"""Assign one label to a picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Prediction, Rival, Row, Task, option
from jishi.models import pixels, tokens
from jishi.tasks import _hog, _rivals, _single
from jishi.tasks._outputs import matrix


@dataclass(frozen=True)
class ImageClassification(Task):
    """Rows: {"image": a path or the bytes of a file, "label"}."""

    columns = {"image": "image"}
    targets = (("label",),)
    metric = _single.METRIC
    answers = _single.ANSWERS

    labels: tuple[str, ...] = option(
        (), "The labels, in order; empty: those of the training rows.", "标签及其顺序；为空则取自训练数据。"
    )
    augment: bool = option(
        True,
        "Turn, shift and light the training pictures at random, where train.augment names no other way.",
        "训练时随机旋转、平移、调整亮度；train.augment 指定了其他方法时以其为准。",
    )
    flip: bool = option(
        False,
        "Mirror them too; wrong where left and right matter.",
        "训练时也随机左右翻转；左右有别的图片（手势、数字）不可用。",
    )
    label_smoothing: float = option(
        0.0,
        "Share of certainty given to the other labels.",
        "标签平滑：分给其他标签的概率份额。",
        aliases=("label_smoothing_factor",),
    )
    temperature: float = option(1.0, "Divides the logits; set by calibration.", "温度系数（除 logits），由校准得到。")

    @property
    def _modality(self) -> Any:
        return registry.get(Modality, self.columns["image"])(flip=self.flip)

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        """Training rows are opened once here, so that a picture that is none is refused before training starts."""
        row = {"image": raw.get("image")}
        if training:
            self._modality.read(row["image"])
        label = raw.get("label")
        return row if label is None and not training else {**row, "label": _single.label(label)}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        return replace(self, **_single.settle(self.labels, [row["label"] for row in rows]))

    def head(self) -> Head:
        return Head("ForImageClassification", _single.head(self))

    def encode(self, row: Row, processor: Any) -> Features:
        """ "pixels" (C, H, W) uint8 in the model's size: brought to the model's range only in `collate`."""
        features = pixels.encode(processor, self._modality.read(row["image"]))
        if row.get("label") is not None and self.labels:
            features["labels"] = _single.target(self, row["label"])
        return features

    def revise(
        self,
        features: Features,
        row: Row,  # noqa: ARG002
        processor: Any,  # noqa: ARG002
        change: Callable[[str, Any], Any],
    ) -> Features:
        """The pixels themselves are varied, in the model's size: no file is read again. "varied" says that it is done."""
        return {**features, "pixels": pixels.changed(features["pixels"], partial(change, "image")), "varied": True}

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        if not (training and self.augment) or "varied" in features:
            return features
        return {**features, "pixels": pixels.vary(features["pixels"], self._modality, rng)}

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.tensors(self.arrays(features, processor))

    def arrays(self, features: Sequence[Features], processor: Any) -> Batch:
        batch = {"pixel_values": pixels.array([row["pixels"] for row in features], processor)}  # (B, C, H, W)
        if all("labels" in row for row in features):
            batch["labels"] = _single.gather([row["labels"] for row in features])
        return batch

    def forward(self, model: Any, batch: Batch) -> Any:
        return model(**{key: value for key, value in batch.items() if key != "labels"}).logits  # (B, K)

    def loss(self, model: Any, batch: Batch) -> Loss:
        return _single.loss(self, self.forward(model, batch), batch["labels"])

    def decode(self, outputs: Sequence[Any], features: Sequence[Features], processor: Any) -> list[Prediction]:  # noqa: ARG002
        return _single.decode(self, matrix(outputs))

    def calibrate(self, outputs: Sequence[Any], rows: Sequence[Row]) -> Self:
        return replace(self, **_single.calibrate(self, matrix(outputs), [row["label"] for row in rows]))

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        return _single.score(self, predictions, [row["label"] for row in rows])

    def credit(self, prediction: Prediction, row: Row) -> float:
        return _single.credit(self, prediction, row["label"])

    def details(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, Any]:
        return _single.details(self, predictions, [row["label"] for row in rows])

    def baseline(self, rows: Sequence[Row]) -> Rival:
        def read(given: Sequence[Row]) -> numpy.ndarray:
            return _hog.describe(self._modality.read(row["image"]) for row in given)

        return _rivals.fitted("gradient histograms", _single, rows, read, "passthrough", read(rows))
