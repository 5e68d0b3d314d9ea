"""Pretrain a model of patches: paint the squares of a picture that were hidden (SimMIM, arXiv:2111.09886)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy
import torch
from annotated_types import Ge, Gt, Le, Lt

from jishi.core import registry
from jishi.core.contracts import Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.core.errors import ModelError
from jishi.models import pixels


@dataclass(frozen=True)
class MaskedImage(Objective):
    """Rows: {"image"}, no target; labels are not looked at. For models of patches: vit, any ViT or Swin."""

    columns = {"image": "image"}
    targets = ((),)

    share: Annotated[float, Gt(0), Lt(1)] = option(
        0.6, "Share of the squares that are hidden.", "遮住的方块比例。", aliases=("mask_ratio",)
    )
    square: Annotated[int, Ge(1)] = option(
        8,
        "Side of a square in pixels as the model reads them; a multiple of its patch (vit: 8).",
        "方块边长，按模型读取的像素计；须为其图块边长的整数倍（vit 为 8）。",
        aliases=("mask_patch_size",),
    )
    crop: Annotated[float, Gt(0), Le(1)] = option(
        0.67,
        "Least share of the area that a random crop keeps; 1: no crop.",
        "随机裁剪至少保留的面积比例；1 表示不裁剪。",
    )
    flip: bool = option(
        False,
        "Mirror at random; wrong where left and right matter.",
        "随机左右翻转；左右有别的图片（手势、数字）不可用。",
    )

    @property
    def _modality(self) -> Any:
        return registry.get(Modality, self.columns["image"])(
            crop=self.crop, flip=self.flip, rotation=0.0, shift=0.0, light=0.0
        )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:  # noqa: ARG002
        """Rows are opened once here, so that a picture that is none is refused before training starts."""
        self._modality.read(raw.get("image"))
        return {"image": raw.get("image")}

    def head(self) -> Head:
        return Head("ForMaskedImageModeling")

    def encode(self, row: Row, processor: Any) -> Features:
        """Raises ModelError where the picture, in the model's size, is not made of whole squares."""
        features = pixels.encode(processor, self._modality.read(row["image"]))
        _, height, width = features["pixels"].shape
        if height % self.square or width % self.square:
            raise ModelError("objectives.no-squares", given=self.square, height=height, width=width)
        return features

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        """Crop, in training; and hide squares, in validation too. The share is exact up to the rounding, which is by chance."""
        shown = pixels.vary(features["pixels"], self._modality, rng) if training else features["pixels"]
        down, across = (side // self.square for side in shown.shape[1:])
        hidden = numpy.zeros(down * across, dtype=bool)
        hidden[rng.permutation(len(hidden))[: int(self.share * len(hidden) + rng.random())]] = True
        return {**features, "pixels": shown, "hidden": hidden.reshape(down, across)}

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return {
            "pixel_values": pixels.batch([row["pixels"] for row in features], processor),  # (B, C, H, W)
            "hidden": torch.from_numpy(numpy.stack([row["hidden"] for row in features])),  # (B, squares down, across)
        }

    def loss(self, model: Any, batch: Batch) -> Loss:
        """The absolute difference of the hidden pixels, the mean over the hidden squares. Raises ModelError where a patch of
        the model is no part of a square."""
        seen, hidden, patch = batch["pixel_values"], batch["hidden"], model.config.patch_size
        if self.square % patch:
            raise ModelError("objectives.square-cuts-patch", given=self.square, allowed=patch)
        patches = _finer(hidden, self.square // patch).flatten(1)  # (B, patches)
        painted = model(pixel_values=seen, bool_masked_pos=patches).reconstruction
        apart = (painted.float() - seen).abs().mean(1)  # (B, H, W)
        count = int(hidden.sum())
        total = apart[_finer(hidden, self.square)].sum() / self.square**2
        return Loss(total / max(count, 1), painted, {"hidden": float(count)}, count)


def _finer(squares: torch.Tensor, times: int) -> torch.Tensor:
    """Each of the squares (B, H, W) as so many by so many."""
    return squares.repeat_interleave(times, 1).repeat_interleave(times, 2)
