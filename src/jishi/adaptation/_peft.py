"""What the methods of peft share: which layers they change, and how they are put around a model."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from jishi.core.errors import ModelError, did_you_mean
from jishi.models import heads


def wrap(model: Any, config: Any) -> Any:
    """The model with the method of a peft configuration around it, its fresh head learning in full."""
    import peft

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft's, not the user's
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)  # it mends that itself
        return peft.get_peft_model(model, config)


def targets(model: Any, wanted: str | Sequence[str], *, convolutions: bool = True) -> list[str]:
    """Full names of the layers to adapt; "auto" is every one outside the head, of `convolutions` where they are wanted.

    Raises ModelError where a name asked for is no layer of the model.
    """
    found = [name for name, layer in linear(model).items() if convolutions or not isinstance(layer, nn.Conv2d)]
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if names != ["auto"]:
        kinds = {name.rpartition(".")[2] for name in found}
        for name in names:
            if not any(full == name or full.endswith(f".{name}") for full in found):
                hint, allowed = did_you_mean(name, kinds), ", ".join(sorted(kinds))
                raise ModelError("adaptation.no-such-layer", given=name, hint=hint, allowed=allowed)
        found = [full for full in found if any(full == name or full.endswith(f".{name}") for name in names)]
    if not found:
        raise ModelError("adaptation.no-linear-layer", given=type(model).__name__)
    return found


def linear(model: Any) -> Mapping[str, Any]:
    """The layers outside the head that a thin matrix can be put beside, by name."""
    head, output = heads.head_modules(model), model.get_output_embeddings()  # the latter is often the embedding too
    return {
        name: module
        for name, module in model.named_modules()
        if _fits(module)
        and module is not output
        and not any(name == part or name.startswith(f"{part}.") for part in head)
    }


def _fits(module: Any) -> bool:
    """Linear layers, and convolutions that are not split into groups."""
    return isinstance(module, nn.Linear | Conv1D) or (isinstance(module, nn.Conv2d) and module.groups == 1)
