"""How large a model is: all its parameters, and those among them that are looked up, not multiplied by."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args, get_type_hints

import torch
from torch import nn

from jishi.core.contracts import Base, Head
from jishi.models import load
from jishi.models.spec import ModelSpec


@dataclass(frozen=True)
class Parameters:
    """`whole` counts each weight once; `inner` leaves out tables of tokens and positions and the output layer, as scaling
    laws do (arXiv:2001.08361)."""

    whole: int
    inner: int


def parameters(model: nn.Module) -> Parameters:
    """Those of a model, on whatever device it lies."""
    output = getattr(model, "get_output_embeddings", lambda: None)()
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding) or module is output]
    outer = {id(weight): weight.numel() for table in tables for weight in table.parameters()}
    whole = sum(weight.numel() for weight in model.parameters())
    return Parameters(whole, whole - sum(outer.values()))


def by_size(spec: ModelSpec, head: Head, base: Base, processor: Any) -> Mapping[str, Parameters]:
    """Those of every size of a design, of which shapes are made and no weights."""
    found = {}
    for size in get_args(get_type_hints(ModelSpec)["size"]):
        with torch.device("meta"):
            found[size] = parameters(load.model(replace(spec, size=size), head, base, processor))
    return found
