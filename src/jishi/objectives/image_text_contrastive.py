"""Pretrain a dual encoder: find the text of a picture among others, and the picture of a text (CLIP, arXiv:2103.00020)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy
import torch
from annotated_types import Gt, Le
from torch.nn import functional

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.core.errors import DataError
from jishi.models import pixels, tokens

HOTTEST = 100.0  # what cosines are multiplied by at most, as in the paper


@dataclass(frozen=True)
class ImageTextContrastive(Objective):
    """Rows: {"image", "text"}, a text that is true of the picture; no target. Needs a model that reads both: a dual-encoder.

    Rows of a step with the same text are right for each other's pictures, and so are those with the same picture (UniCL,
    arXiv:2204.03610).
    """

    columns = {"image": "image", "text": "text"}
    targets = ((),)
    aliases = ({"text": "caption"}, {"text": "sentence"})
    joint = True

    crop: Annotated[float, Gt(0), Le(1)] = option(
        1.0,
        "Least share of the area shown in training; 1, all of it, where the text tells of the whole picture.",
        "训练时至少显示的面积比例；文字描述整张图片时取 1（不裁剪）。",
    )
    flip: bool = option(
        False, "Mirror at random; wrong where texts tell left from right.", "随机左右翻转；文字区分左右时不可用。"
    )
    max_length: int | None = option(
        None,
        "Tokens read of a text; the rest is cut off and counted.",
        "每段文字读取的最大词元数，超出部分截断并计数。",
        aliases=("max_seq_length",),
    )

    @property
    def _modality(self) -> Any:
        return registry.get(Modality, self.columns["image"])(crop=self.crop, flip=self.flip, rotation=5.0, shift=0.05)

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:  # noqa: ARG002
        """Pictures are opened once here, so that one that is none is refused before training starts."""
        self._modality.read(raw.get("image"))
        return {"image": raw.get("image"), "text": registry.get(Modality, self.columns["text"])().read(raw.get("text"))}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        if len(rows) < 2:
            raise DataError("objectives.no-other-pair", given=len(rows))
        return replace(self, max_length=base.limit(self.max_length))

    def head(self) -> Head:
        return Head("")

    def encode(self, row: Row, processor: Any) -> Features:
        """The text's features, "pixels" (C, H, W) of the picture, and "keys" (2,): equal where the text is, or the picture."""
        features = tokens.encode(processor.tokenizer, row["text"], max_length=self.max_length)
        seen = pixels.encode(processor, self._modality.read(row["image"]))["pixels"]
        return {**features, "pixels": seen, "keys": numpy.array([_key(features["input_ids"]), _key(seen)])}

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        shown = features["pixels"]
        return {**features, "pixels": pixels.vary(shown, self._modality, rng)} if training else features

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        batch = tokens.pad(features, processor.tokenizer)
        seen = pixels.batch([row["pixels"] for row in features], processor)
        return {**batch, "pixel_values": seen, "keys": torch.from_numpy(numpy.stack([row["keys"] for row in features]))}

    def represent(self, model: Any, batch: Batch) -> Sequence[torch.Tensor]:
        """B × (2, D): the vector of the text, as long as cosines are multiplied by, and that of the picture, of length 1."""
        said = model(**{name: value for name, value in batch.items() if name != "keys"})
        scale = model.logit_scale.exp().clamp(max=HOTTEST)
        return list(torch.stack([said.text_embeds.float() * scale, said.image_embeds.float()], dim=1))

    def compare(self, represented: Sequence[torch.Tensor], batches: Sequence[Batch]) -> Loss:
        """Cross-entropy of finding a right picture for each text and a right text for each picture, the mean of both."""
        texts, pictures = torch.stack(list(represented)).unbind(1)  # (B, D)
        keys = torch.cat([batch["keys"] for batch in batches]).to(texts.device)
        right = (keys[:, None] == keys).any(-1)  # (B, B)
        with torch.autocast(texts.device.type, enabled=False):
            close = texts @ pictures.T
        wanted = right / right.sum(1, keepdim=True)  # symmetric in what is right: the same for both ways
        value = (functional.cross_entropy(close, wanted) + functional.cross_entropy(close.T, wanted)) / 2
        found = right.gather(1, close.argmax(1, keepdim=True)).float().mean()
        return Loss(value, list(represented), {"found": float(found)})

    def loss(self, model: Any, batch: Batch) -> Loss:
        return self.compare(self.represent(model, batch), [batch])


def _key(values: numpy.ndarray) -> int:
    """A number of 64 bits that says what the values are."""
    return int.from_bytes(hashlib.blake2b(values.tobytes(), digest_size=8).digest(), "little", signed=True)
