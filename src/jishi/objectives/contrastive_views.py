"""Pretrain on pictures: recognise a picture among others by another view of it (SimCLR, arXiv:2002.05709)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy
import torch
from annotated_types import Ge, Gt, Le
from torch.nn import functional

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.core.errors import DataError
from jishi.models import pixels


@dataclass(frozen=True)
class ContrastiveViews(Objective):
    """Rows: {"image"}, no target; labels are not looked at. What a view may change, the base learns not to see: a variation
    that tells classes apart (colour, left and right) is to be turned off. The projection is not part of the base."""

    columns = {"image": "image"}
    targets = ((),)
    joint = True

    temperature: Annotated[float, Gt(0)] = option(
        0.2,
        "Divides the cosines: the lower, the more the hardest pictures count.",
        "余弦的温度系数：越低，越看重最难区分的图片。",
    )
    width: Annotated[int, Ge(1)] = option(
        128, "Numbers a view is compared by, after the projection.", "投影后用于比较的向量维数。"
    )
    crop: Annotated[float, Gt(0), Le(1)] = option(
        0.3,
        "Least share of the area that a view shows; 1: all of it.",
        "每个视图至少保留的面积比例；1 表示不裁剪。",
    )
    flip: bool = option(
        False,
        "Mirror at random; wrong where left and right matter.",
        "随机左右翻转；左右有别的图片（手势、数字）不可用。",
    )
    light: Annotated[float, Ge(0), Le(1)] = option(
        0.4, "Largest change of brightness and contrast.", "亮度与对比度变化的最大幅度。"
    )
    colour: Annotated[float, Ge(0), Le(1)] = option(
        0.4,
        "Largest change of saturation and hue; 0 where colour tells.",
        "饱和度与色相变化的最大幅度；颜色有意义时设为 0。",
    )
    grey: Annotated[float, Ge(0), Le(1)] = option(
        0.2, "Share of the views without colour; 0 where colour tells.", "灰度视图的比例；颜色有意义时设为 0。"
    )
    rotation: Annotated[float, Ge(0), Le(180)] = option(10.0, "Largest turn, in degrees.", "最大旋转角度（度）。")

    @property
    def _modality(self) -> Any:
        return registry.get(Modality, self.columns["image"])(
            crop=self.crop, flip=self.flip, rotation=self.rotation, shift=0.0, light=self.light, colour=self.colour,
            grey=self.grey,
        )  # fmt: skip

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:  # noqa: ARG002
        """Rows are opened once here, so that a picture that is none is refused before training starts."""
        self._modality.read(raw.get("image"))
        return {"image": raw.get("image")}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        if len(rows) < 2:
            raise DataError("objectives.nothing-beside", given=len(rows))
        return self

    def head(self) -> Head:
        return Head("ForPreTraining", {"num_labels": self.width})

    def encode(self, row: Row, processor: Any) -> Features:
        return pixels.encode(processor, self._modality.read(row["image"]))

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        """Two views of the picture, in validation too."""
        views = [pixels.vary(features["pixels"], self._modality, rng) for _ in range(2)]
        return {**features, "views": views}

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        views = [view for row in features for view in row["views"]]
        return {"pixel_values": pixels.batch(views, processor)}  # (2 · B, C, H, W), the views of a picture side by side

    def represent(self, model: Any, batch: Batch) -> Sequence[torch.Tensor]:
        """The unit vectors of both views of each picture, B × (2, D)."""
        vectors = functional.normalize(model(**batch).logits.float(), dim=-1)
        return list(vectors.unflatten(0, (-1, 2)))

    def compare(self, represented: Sequence[torch.Tensor], batches: Sequence[Batch]) -> Loss:  # noqa: ARG002
        """Cross-entropy of finding the other view among all views of the step, the mean over views."""
        views = torch.cat(list(represented))  # (2 · B, D)
        with torch.autocast(views.device.type, enabled=False):  # cosines close to 1 need more digits than bf16 has
            close = views @ views.T / self.temperature
        itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
        others = close.masked_fill(itself, -torch.inf)
        partners = torch.arange(len(views), device=views.device) ^ 1
        found = float((others.argmax(1) == partners).float().mean())
        return Loss(functional.cross_entropy(others, partners), list(represented), {"found": found})

    def loss(self, model: Any, batch: Batch) -> Loss:
        return self.compare(self.represent(model, batch), [batch])
