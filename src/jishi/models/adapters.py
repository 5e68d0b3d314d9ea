"""Small trained modules that stand at the layers of a model and change what they say; the layers' own weights keep their names.

What an adaptation attaches can't be folded into a plain weight. A bundle therefore keeps it in a file of its own beside the
plain model, `adapter.safetensors`; to read it, the adaptation is applied anew and given those weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from jishi.core.errors import ModelError
from jishi.models.folder import ADAPTER

CHILD = "adapter"


def attach(layer: nn.Module, adapter: nn.Module) -> None:
    """Let a layer say what `adapter(given, said)` makes of what it was given and what it says; a copy of it does so too."""
    layer.add_module(CHILD, adapter)
    layer.register_forward_hook(_through)


def hold(module: nn.Module, adapter: nn.Module) -> None:
    """Keep an adapter at a module whose computation asks for it by itself."""
    module.add_module(CHILD, adapter)


def _through(layer: nn.Module, given: tuple[Any, ...], said: Any) -> Any:
    return layer.get_submodule(CHILD)(given[0], said)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of all adapters, by their full names."""
    return {name: value for name, value in model.state_dict().items() if f".{CHILD}." in f".{name}"}


@dataclass(frozen=True)
class Apart:
    """A model that is saved as the plain one, with its adapters in their own file."""

    model: Any

    def save_pretrained(self, folder: Path, **options: Any) -> None:
        """Write both into a folder, as transformers' method of that name does with a plain model."""
        beside = weights(self.model)
        plain = {name: value for name, value in self.model.state_dict().items() if name not in beside}
        self.model.save_pretrained(folder, state_dict=plain, **options)
        save_file({name: value.contiguous() for name, value in beside.items()}, folder / ADAPTER)


def fill(model: Any, folder: Path) -> Any:
    """The model whose adapters were just attached, with the weights a bundle keeps of them.

    Raises ModelError where one is missing, left over or has another shape.
    """
    put(weights(model), folder / ADAPTER)
    return model


def put(wanted: Mapping[str, torch.Tensor], file: Path) -> None:
    """Give tensors of a model the values a file holds for them, each for each. Raises ModelError as `fill` does."""
    try:
        saved = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError("models.broken-weights", path=file, reason=error) from None
    if saved.keys() != wanted.keys() or any(saved[name].shape != wanted[name].shape for name in saved):
        raise ModelError("models.other-adapter", path=file)
    with torch.no_grad():
        for name, value in saved.items():
            wanted[name].copy_(value)
