"""Two towers that meet in one space: an encoder of texts and one of pictures, any of each (CLIP, arXiv:2103.00020).

`model_type` "jishi-dual-encoder": the towers under `towers.text.` and `towers.image.`, all else named as in transformers' CLIP.
Importing this module makes transformers' Auto classes read such folders.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ModelOutput

from jishi.core.errors import ModelError
from jishi.models import heads
from jishi.models.spec import ModelSpec

NAME = "dual-encoder"
READS = "image+text"  # the modality of what reads both
DEFAULTS = {"text": "text-cnn", "image": "resnet"}
WIDTH = 128  # of the space
SCALE = math.log(1 / 0.07)  # cosines are multiplied by e to this at first, as in the paper


class DualConfig(PreTrainedConfig):
    """The towers' own configurations, how a text's states are pooled, the width of the space."""

    model_type = "jishi-dual-encoder"

    def __init__(
        self, text_config: dict[str, Any] | None = None, image_config: dict[str, Any] | None = None,
        pooling: str = "mean", width: int = WIDTH, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.text_config = text_config or {}
        self.image_config = image_config or {}
        self.pooling = pooling
        self.width = width
        super().__init__(**kwargs)


@dataclass
class DualOutput(ModelOutput):
    """Vectors (B, D) of length 1, of texts and of pictures."""

    text_embeds: torch.Tensor | None = None
    image_embeds: torch.Tensor | None = None


class DualEncoder(PreTrainedModel):
    """Texts and pictures as vectors of one space; `logit_scale` is the logarithm of what their cosines are multiplied by."""

    config_class = DualConfig
    base_model_prefix = "towers"
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: DualConfig, text: Any = None, image: Any = None) -> None:
        super().__init__(config)
        text, image = (
            text or heads.build_backbone(config.text_config),
            image or heads.build_backbone(config.image_config),
        )
        self.towers = nn.ModuleDict({"text": text, "image": image})
        self.text_projection = nn.Linear(heads.width(text.config), config.width, bias=False)
        self.visual_projection = nn.Linear(heads.width(image.config), config.width, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(SCALE))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.towers["text"].get_input_embeddings()

    def forward(self, pixel_values: torch.Tensor, attention_mask: torch.Tensor, **inputs: Any) -> DualOutput:
        words = self.towers["text"](attention_mask=attention_mask, **inputs).last_hidden_state
        places = self.towers["image"](pixel_values=pixel_values).last_hidden_state
        text = self.text_projection(heads.pool(words, attention_mask, self.config.pooling))
        image = self.visual_projection(heads.pool_positions(places, "mean"))
        return DualOutput(*(nn.functional.normalize(vectors.float(), dim=-1) for vectors in (text, image)))


def towers(spec: ModelSpec) -> tuple[ModelSpec, ModelSpec]:
    """What the tower of texts is made from, which takes the spec's options, and what that of pictures."""
    text = replace(spec, name=spec.text or DEFAULTS["text"], text=None, image=None, side=None)
    return text, ModelSpec(spec.image or DEFAULTS["image"], size=spec.size, side=spec.side, dropout=spec.dropout)


def join(text: PreTrainedModel, image: PreTrainedModel, pooling: str) -> DualEncoder:
    """The towers as they are, with fresh projections."""
    config = DualConfig(text.config.to_dict(), image.config.to_dict(), pooling)
    config.jishi = text.config.jishi
    return DualEncoder(config, text, image).float()


def apart(model: Any, processor: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, tower and processor of each half, a base of its own; nothing where the model has no towers."""
    if isinstance(model, DualEncoder):
        yield "text", model.towers["text"], processor.tokenizer
        yield "image", model.towers["image"], processor.image_processor


def check(spec: ModelSpec, read: tuple[str, str]) -> None:
    """Raises ModelError where a tower reads something else than it is for."""
    for name, part, given in zip(("text", "image"), towers(spec), read, strict=True):
        if given != name:
            raise ModelError("models.wrong-tower", name=part.name, given=given, allowed=name)


AutoConfig.register(DualConfig.model_type, DualConfig)
AutoModel.register(DualConfig, DualEncoder)
