"""Heads for backbones that transformers gives none, or none that pools as the backbone was trained to.

`model_type` "jishi-pooled": a backbone under `backbone.`, then dropout and one linear layer, `classifier`. Importing this
module makes transformers' Auto classes read such folders. Losses are computed elsewhere: forward answers logits only.
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import (
    ImageClassifierOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

REACH = 30.0  # how much further a step moves a transition than another weight: it is a logit, not a factor of one
POOLINGS = ("cls", "mean", "max")
BESIDE = "beside"  # the child of a model that holds further heads on its backbone


class PooledConfig(PreTrainedConfig):
    """A backbone's own configuration, how its states are pooled, the head's dropout, whether it learns `Transitions`."""

    model_type = "jishi-pooled"

    def __init__(
        self, backbone: dict[str, Any] | None = None, pooling: str = "mean", dropout: float = 0.1, transitions: bool = False,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        self.backbone = backbone or {}
        self.pooling = pooling
        self.dropout = dropout
        self.transitions = transitions
        super().__init__(**kwargs)


class Pooled(PreTrainedModel):
    """A backbone with a fresh linear head on its states; subclasses say what the head reads."""

    config_class = PooledConfig
    base_model_prefix = "backbone"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    pools: ClassVar[bool] = True  # whether answers hang on the pooling
    alone: ClassVar[bool] = False  # whether transformers' own classes of this name do something else

    def __init__(self, config: PooledConfig, backbone: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        self.backbone = build_backbone(config.backbone) if backbone is None else backbone
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(width(self.backbone.config), config.num_labels)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.backbone.get_input_embeddings()

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        resized = self.backbone.resize_token_embeddings(*args, **kwargs)
        self.config.backbone = self.backbone.config.to_dict()
        return resized


class PooledForSequenceClassification(Pooled):
    """Logits (B, K) from one vector a text."""

    def forward(
        self, input_ids: torch.Tensor | None = None, attention_mask: torch.Tensor | None = None, **inputs: Any
    ) -> SequenceClassifierOutput:
        states = _states(self.backbone, input_ids=input_ids, attention_mask=attention_mask, **inputs)
        logits = self.classifier(self.dropout(pool(states, attention_mask, self.config.pooling)))
        return SequenceClassifierOutput(logits=logits)


class Transitions(nn.Module):
    """How much likelier each of K tags is after another: scores (K + 1, K), in the last row after the beginning."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count + 1, count))

    def forward(self) -> torch.Tensor:
        return self.weight * REACH


@dataclass
class TaggedOutput(TokenClassifierOutput):
    """Logits, and the scores of `Transitions` where the head learns them."""

    transitions: torch.Tensor | None = None


class PooledForTokenClassification(Pooled):
    """Logits (B, T, K), one row a token."""

    pools = False

    def __init__(self, config: PooledConfig, backbone: PreTrainedModel | None = None) -> None:
        super().__init__(config, backbone)
        self.transitions = Transitions(config.num_labels) if config.transitions else None

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, Transitions):
            nn.init.zeros_(module.weight)
        else:
            super()._init_weights(module)

    def forward(
        self, input_ids: torch.Tensor | None = None, attention_mask: torch.Tensor | None = None, **inputs: Any
    ) -> TaggedOutput:
        states = _states(self.backbone, input_ids=input_ids, attention_mask=attention_mask, **inputs)
        logits = self.classifier(self.dropout(states))
        return TaggedOutput(logits=logits, transitions=self.transitions() if self.transitions else None)


class PooledForQuestionAnswering(Pooled):
    """Logits (B, T) that an answer starts at each token, and that it ends there."""

    pools = False

    def forward(
        self, input_ids: torch.Tensor | None = None, attention_mask: torch.Tensor | None = None, **inputs: Any
    ) -> QuestionAnsweringModelOutput:
        states = _states(self.backbone, input_ids=input_ids, attention_mask=attention_mask, **inputs)
        starts, ends = self.classifier(self.dropout(states)).unbind(-1)
        return QuestionAnsweringModelOutput(start_logits=starts, end_logits=ends)


class PooledForImageClassification(Pooled):
    """Logits (B, K) from one vector an image; feature maps (B, C, H, W) are read as H·W positions."""

    main_input_name = "pixel_values"

    def forward(self, pixel_values: torch.Tensor, **inputs: Any) -> ImageClassifierOutput:
        states = _states(self.backbone, pixel_values=pixel_values, **inputs)
        return ImageClassifierOutput(logits=self.classifier(self.dropout(pool_positions(states, self.config.pooling))))


class PooledForPreTraining(Pooled):
    """Vectors (B, K), by two layers, in which views of an image are held against each other; no base keeps them (`shed`)."""

    main_input_name = "pixel_values"
    alone = True

    def __init__(self, config: PooledConfig, backbone: PreTrainedModel | None = None) -> None:
        super().__init__(config, backbone)
        self.hidden = nn.Linear(self.classifier.in_features, self.classifier.in_features)

    def forward(self, pixel_values: torch.Tensor, **inputs: Any) -> ImageClassifierOutput:
        states = _states(self.backbone, pixel_values=pixel_values, **inputs)
        hidden = self.hidden(pool_positions(states, self.config.pooling))
        return ImageClassifierOutput(logits=self.classifier(nn.functional.relu(hidden)))


def pool(states: torch.Tensor, mask: torch.Tensor | None, pooling: str) -> torch.Tensor:
    """States (B, T, D) as one vector a row (B, D); positions where `mask` (B, T) is 0 have no part in it."""
    if pooling == "cls":
        return states[:, 0]
    if mask is None:
        return states.mean(1) if pooling == "mean" else states.amax(1)
    kept = mask.unsqueeze(-1).bool()
    if pooling == "max":
        return states.masked_fill(~kept, torch.finfo(states.dtype).min).amax(1)
    return (states * kept).sum(1) / kept.sum(1).clamp(min=1)


def pool_positions(states: torch.Tensor, pooling: str) -> torch.Tensor:
    """States (B, T, D), or feature maps (B, D, H, W), of pictures as (B, D): no position but a text's first means the whole,
    so "cls" is their mean."""
    positions = states.flatten(2).transpose(1, 2) if states.dim() == 4 else states
    return pool(positions, None, "max" if pooling == "max" else "mean")


def width(config: PreTrainedConfig) -> int:
    """D, the width of the backbone's last states."""
    for key in ("hidden_size", "hidden_dim", "d_model", "dim"):
        if isinstance(getattr(config, key, None), int):
            return int(getattr(config, key))
    return int(config.hidden_sizes[-1])  # type: ignore[attr-defined]


def build_backbone(config: dict[str, Any]) -> PreTrainedModel:
    """The bare model of a configuration, without the pooling layer that the head would not use."""
    parsed = AutoConfig.for_model(**config)
    kind = AutoModel._model_mapping[type(parsed)]
    return AutoModel.from_config(parsed, **bare(kind))


def bare(kind: type) -> dict[str, bool]:
    """The options by which a class of bare models leaves out its pooling layer, which nothing here reads."""
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind).parameters else {}


def head_modules(model: nn.Module) -> list[str]:
    """Names of the modules that belong to the head: what stands outside the backbone, and its pooling layer."""
    prefix = getattr(model, "base_model_prefix", "")
    backbone = getattr(model, prefix, None) if prefix else None
    if not isinstance(backbone, nn.Module):  # a bare backbone has no head
        return []
    named = [(name, child) for name, child in model.named_children() if name != prefix]
    if isinstance(getattr(backbone, "pooler", None), nn.Module):
        named.append((f"{prefix}.pooler", backbone.pooler))
    return [name for name, child in named if any(True for _ in child.parameters())]


def fresh(model: Any) -> list[str]:
    """Names of the head modules that begin anew; of a language model, which is pretrained as a whole, those beside its own."""
    own = head_modules(model) if model.get_output_embeddings() is None else []
    further = [f"{BESIDE}.{place}.classifier" for place in range(len(getattr(model, BESIDE, ())))]
    return [name for name in own if name != BESIDE] + further


def freeze(model: Any) -> Any:
    """The model of which only the head that begins anew still learns."""
    model.requires_grad_(False)
    for name in fresh(model):
        model.get_submodule(name).requires_grad_(True)
    return model


def shed(model: Any) -> Any:
    """What of a pretrained model others start from: it with its own head, or its backbone where that serves pretraining alone."""
    if hasattr(model, BESIDE):
        delattr(model, BESIDE)
    if not isinstance(model, PooledForPreTraining):
        return model
    model.backbone.config.jishi = model.config.jishi
    return model.backbone


def layers(model: nn.Module) -> list[nn.Module]:
    """The backbone's blocks from bottom to top; empty where it has none."""
    found = stack(model)
    return [] if found is None else list(found)


def stack(model: nn.Module) -> nn.ModuleList | None:
    """The list that holds the backbone's blocks: its largest list of modules."""
    lists = [module for module in backbone(model).modules() if isinstance(module, nn.ModuleList) and len(module) > 1]
    return max(lists, key=lambda found: sum(weight.numel() for weight in found.parameters()), default=None)


def depths(model: nn.Module) -> dict[str, int]:
    """How far the parts of the backbone lie below the head, by name: a top block 1, what comes before the blocks one more than
    the lowest; empty where it has no blocks. Of an encoder-decoder, each stack is counted from its own top."""
    named = {module: name for name, module in model.named_modules()}
    found: dict[str, int] = {}
    before: list[str] = []
    for module in _outermost(backbone(model)):
        if isinstance(module, nn.ModuleList):
            found |= {named[block]: len(module) - place for place, block in enumerate(module)}
        elif isinstance(module, nn.Embedding) or not found:
            before.append(named[module])
    return found and {**dict.fromkeys(before, max(found.values()) + 1), **found}


def _outermost(module: nn.Module) -> Iterator[nn.Module]:
    """Its lists of modules, and what has weights outside of them, as they are defined."""
    for child in module.children():
        if isinstance(child, nn.ModuleList) and len(child) > 1:
            yield child
            continue
        if any(True for _ in child.parameters(recurse=False)):
            yield child
        yield from _outermost(child)


def backbone(model: nn.Module) -> Any:
    """The model without its head; itself where it has none."""
    return getattr(model, getattr(model, "base_model_prefix", ""), model)


def _states(backbone: nn.Module, **inputs: Any) -> torch.Tensor:
    return backbone(**{key: value for key, value in inputs.items() if value is not None}).last_hidden_state


HEADS: dict[str, type[Pooled]] = {
    kind.__name__.removeprefix("Pooled"): kind
    for kind in (
        PooledForSequenceClassification,
        PooledForTokenClassification,
        PooledForQuestionAnswering,
        PooledForImageClassification,
        PooledForPreTraining,
    )
}

AutoConfig.register(PooledConfig.model_type, PooledConfig)
for _architecture, _kind in HEADS.items():
    getattr(transformers, f"AutoModel{_architecture}").register(PooledConfig, _kind)
