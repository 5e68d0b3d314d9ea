"""Several heads on one backbone, which is asked once for all of them.

The further heads are kept in `beside`, a child of the model: they train and are checkpointed with it, and no base keeps them
(`heads.shed`).
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from jishi.core.errors import ModelError
from jishi.models.cross_entropy import whole
from jishi.models.heads import BESIDE, HEADS, PooledConfig


def add(model: Any, architecture: str, config: PooledConfig) -> None:
    """Put a fresh head of ours beside those of the model. Raises ModelError where we have none of the kind."""
    if architecture not in HEADS:
        raise ModelError("models.head-not-beside", given=architecture, allowed=", ".join(HEADS))
    head = HEADS[architecture](config, model.base_model)
    del head.backbone
    vars(head)["backbone"] = model.base_model  # read by the head, but no part of it: the model has it already
    if not hasattr(model, BESIDE):
        setattr(model, BESIDE, nn.ModuleList())
    getattr(model, BESIDE).append(head)


def view(model: Any, place: int) -> Any:
    """The model as its head number `place` makes it: 0 is its own, the others stand beside."""
    return getattr(whole(model), BESIDE)[place - 1] if place else model


@contextmanager
def one_pass(model: Any) -> Iterator[None]:
    """While this holds, the backbone is computed once for the same tensors, whichever head asks for them."""
    backbone = whole(model).base_model
    plain = backbone.forward
    said: list[tuple[list[torch.Tensor], bool, Any]] = []  # tensors asked about, whether with gradients, the answer

    def forward(*given: Any, **named: Any) -> Any:
        tensors = [value for value in (*given, *named.values()) if isinstance(value, torch.Tensor)]
        graded = torch.is_grad_enabled()
        for known, was_graded, answer in said:
            if was_graded == graded and set(map(id, known)) == set(map(id, tensors)):
                return copy.copy(answer)  # hooks may change it
        said.append((tensors, graded, plain(*given, **named)))
        return copy.copy(said[-1][2])

    backbone.forward = forward
    try:
        yield
    finally:
        del backbone.forward
