"""The two-layer networks that stand behind a layer or beside a pair of them. Shapes: states (…, D), M the width between."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from jishi.core.errors import ModelError
from jishi.models.sublayers import Sublayer, sublayers


class Bottleneck(nn.Module):
    """up(relu(down(states))): it says nothing at first, so that the model begins as it came."""

    def __init__(self, read: int, width: int, said: int) -> None:
        super().__init__()
        self.down = nn.Linear(read, width)
        self.up = nn.Linear(width, said)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.up(torch.relu(self.down(states)))


class Behind(Bottleneck):
    """Adds to what a layer says what it makes of that."""

    def __init__(self, layer: Any, width: int) -> None:
        super().__init__(outputs(layer), width, outputs(layer))

    def forward(self, given: torch.Tensor, said: torch.Tensor) -> torch.Tensor:  # type: ignore[override]  # noqa: ARG002
        return said + super().forward(said)


def places(model: Any) -> Sequence[Sublayer]:
    """The model's sublayers. Raises ModelError where it has none."""
    found = sublayers(model)
    if not found:
        raise ModelError("adaptation.no-attention", given=type(model).__name__)
    return found


def inputs(layer: Any) -> int:
    """The width of what a linear layer reads; a Conv1D holds its weight the other way round."""
    return int(layer.in_features if isinstance(layer, nn.Linear) else layer.weight.shape[0])


def outputs(layer: Any) -> int:
    """The width of what it says."""
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.weight.shape[1])


class Beside(Bottleneck):
    """Adds to what the last of some layers says what it makes of what the first was given."""

    def __init__(self, sublayer: Sublayer, width: int, scale: float) -> None:
        super().__init__(inputs(sublayer.first), width, outputs(sublayer.last))
        self.scale = scale
        self.given: Any = None
        sublayer.first.register_forward_pre_hook(Remember(self))

    def forward(self, given: torch.Tensor, said: torch.Tensor) -> torch.Tensor:  # type: ignore[override]  # noqa: ARG002
        read, self.given = self.given, None
        return said + self.scale * super().forward(read)


class Remember:
    """Keeps for an adapter what a layer is given; an object, so that a copy of the model has its own."""

    def __init__(self, adapter: Beside) -> None:
        self.adapter = adapter

    def __call__(self, layer: nn.Module, given: tuple[Any, ...]) -> None:  # noqa: ARG002
        self.adapter.given = given[0]
