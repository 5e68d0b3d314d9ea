"""Assign one label to a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy
import torch
from PIL import Image

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Prediction, Rival, Row, Task, option
from jishi.tasks import _hog, _rivals, _single
from jishi.tasks._outputs import matrix


@dataclass(frozen=True)
class ImageClassification(Task):
    """Rows: {"image": a path or the bytes of a file, "label"}."""

    columns = {"image": "image"}
    targets = (("label",),)
    metric = _single.METRIC

    labels: tuple[str, ...] = option(
        (), "The labels, in order; empty: those of the training rows.", "标签及其顺序；为空则取自训练数据。"
    )
    augment: bool = option(
        True, "Turn, shift and light the training pictures at random.", "训练时随机旋转、平移、调整亮度。"
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
        picture = self._modality.read(row["image"])
        sized = processor(images=[picture], do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][
            0
        ]
        features: Features = {"pixels": numpy.asarray(sized).round().clip(0, 255).astype(numpy.uint8), "length": 1}
        if row.get("label") is not None and self.labels:
            features["labels"] = _single.target(self, row["label"])
        return features

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        if not (training and self.augment):
            return features
        varied = self._modality.augment(Image.fromarray(features["pixels"].transpose(1, 2, 0)), rng)
        return {**features, "pixels": numpy.asarray(varied).transpose(2, 0, 1)}

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        scale, offset = _range(processor, channels=len(features[0]["pixels"]))
        pixels = torch.from_numpy(numpy.stack([row["pixels"] for row in features]))
        batch = {"pixel_values": pixels.float() * scale + offset}  # (B, C, H, W)
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


def _range(processor: Any, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """How the processor brings pixels to the model's range, as scale and offset (C, 1, 1): read off black and white.

    The processor would give the same, picture by picture, at the cost of a small model's step.
    """
    probe = numpy.broadcast_to(numpy.array([0, 255], dtype=numpy.uint8), (channels, 1, 2))
    done = processor(
        images=[probe], do_resize=False, do_center_crop=False, input_data_format="channels_first", return_tensors="pt"
    )
    black, white = done["pixel_values"][0].float().unbind(-1)  # (C, 1)
    return ((white - black) / 255)[..., None], black[..., None]
