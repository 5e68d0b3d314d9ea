"""Keys and values before those of the text, in every attention (prefix tuning, arXiv:2101.00190; P-tuning v2, arXiv:2110.07602).

They have no place among the tokens. What is learnt can't be folded in: a bundle keeps it beside the plain model.
Shapes: B rows, H heads of keys, N places of the prefix, T queries, S keys, d the width of a head.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from jishi.core.contracts import Adaptation, Objective, option
from jishi.core.errors import ModelError
from jishi.models import adapters, heads

NAME = "jishi-prefix"
SPREAD = 0.02  # the deviation of what a prefix begins as
KEYS = ("k", "key", "k_proj", "k_lin")


@dataclass(frozen=True)
class PrefixTuning(Adaptation):
    """The head learns in full, and a prefix for each attention of the backbone."""

    beside = True

    tokens: Annotated[int, Ge(1)] = option(
        16, "Places of the prefix: its capacity.", "前缀的长度，即可学习的容量。", aliases=("num_virtual_tokens",)
    )
    hidden: Annotated[int, Ge(0)] = option(
        64,
        "Width of the network that makes the prefix, which steadies training; 0 learns it as it is (P-tuning v2).",
        "生成前缀的网络的宽度，可使训练更稳定；0 表示直接学习前缀（P-tuning v2）。",
    )

    @property
    def learning_rate(self) -> float:  # type: ignore[override]
        """1e-3 for a network, 1e-2 for the prefix itself."""
        return 1e-3 if self.hidden else 1e-2

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        found = list(_attentions(heads.backbone(model)))
        if not found:
            raise ModelError("adaptation.no-attention", given=type(model).__name__)
        heads.freeze(model)
        for module, shape in found:
            adapters.hold(module, Prefix(self.tokens, shape, self.hidden))
            module.config._attn_implementation = NAME
        heads.backbone(model).config._attn_implementation = NAME
        return model


class Prefix(nn.Module):
    """Keys and values (H, N, d), learnt as they are, or told by a small network that is read with `hidden` numbers a place."""

    def __init__(self, count: int, shape: tuple[int, int], hidden: int) -> None:
        super().__init__()
        self.shape = (count, 2, *shape)  # N, keys and values, H, d
        size = 2 * shape[0] * shape[1]
        self.seeds = nn.Parameter(SPREAD * torch.randn(count, hidden or size))
        self.network = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, size)) if hidden else None

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.seeds if self.network is None else self.network(self.seeds)
        keys, values = found.view(self.shape).permute(1, 2, 0, 3)
        return keys, values


def _attentions(backbone: nn.Module) -> Iterator[tuple[Any, tuple[int, int]]]:
    """The modules that ask for attention, with the heads of their keys and the width of each."""
    for module in backbone.modules():
        width = getattr(module, "head_dim", None) or getattr(module, "attention_head_size", None)
        width = width or getattr(module, "key_value_proj_dim", None)
        if hasattr(module, "is_causal") and hasattr(module, "config") and width:
            named = dict(module.named_children())
            apart = next((named[name] for name in KEYS if name in named), None)
            size = apart.out_features if apart is not None else heads.width(module.config)
            yield module, (size // width, width)


def attend(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None,
    is_causal: bool | None = None, position_bias: torch.Tensor | None = None, **kwargs: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention whose queries (B, heads, T, d) see the module's prefix and then what they may see of the keys (B, H, S, d)."""
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    prefix = getattr(module, adapters.CHILD, None)
    if prefix is not None:
        keys, values = (one.to(key.dtype).expand(len(key), -1, -1, -1) for one in prefix())
        if mask is None and causal and query.shape[2] > 1:
            mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=key.device)
            mask = mask.tril(key.shape[2] - query.shape[2])[None, None]
        count, causal = keys.shape[2], False
        if mask is not None:
            mask = nn.functional.pad(mask, (count, 0), value=mask.dtype == torch.bool)
        if position_bias is not None:
            position_bias = nn.functional.pad(position_bias, (count, 0))
        key, value = torch.cat([keys, key], 2), torch.cat([values, value], 2)
    if position_bias is not None:
        kwargs["position_bias"] = position_bias
    return sdpa_attention_forward(module, query, key, value, mask, is_causal=causal, **kwargs)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
