"""Linear layers as two thinner ones after another, which miss least of what the layer makes of the inputs that it sees."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from jishi.core.contracts import Row
from jishi.core.errors import ModelError
from jishi.models import heads
from jishi.models.inference import to
from jishi.models.sublayers import sublayers

AT_ONCE = 16  # rows
LIFT = 1e-6  # of the mean square of inputs: directions that no row has count a little, so that none is free


class Factors(nn.Sequential):
    """Two linear layers in the place of one, of R values between them."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor, bias: torch.Tensor | None) -> None:
        """From (K, R) and (R, N)."""
        layers = [nn.Linear(*one.shape, bias=False) for one in (first, second)]
        for layer, value in zip(layers, (first, second), strict=True):
            layer.weight = nn.Parameter(value.T.float().contiguous())
        if bias is not None:
            layers[1].bias = nn.Parameter(bias.detach().clone())
        super().__init__(*layers)

    @property
    def weight(self) -> torch.Tensor:
        """What some families look at for its kind of number."""
        return self[1].weight  # type: ignore[return-value]


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """The linear layers of all blocks, by name. Raises ModelError where there are none."""
    found = {name: one for part in sublayers(model) for name, one in zip(part.names, part.layers, strict=True)}
    if not found:
        raise ModelError("compress.no-parts", given=type(heads.backbone(model)).__name__)
    return found


def moments(predictor: Any, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """The second moments (K, K) of what each linear layer of the blocks is given, the mean over the real tokens of the rows."""
    model, task = predictor.model, predictor.task
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    with torch.no_grad(), _heard(layers(model), sums, counts) as masked:
        for start in range(0, len(rows), AT_ONCE):
            features = [task.encode(row, predictor.processor) for row in rows[start : start + AT_ONCE]]
            batch = to(task.collate(features, predictor.processor), model.device)
            masked[:] = [value.bool() for name, value in batch.items() if name.endswith("attention_mask")]
            task.loss(model, batch)
    return {name: value / counts[name] for name, value in sums.items()}


@contextmanager
def _heard(
    named: Mapping[str, nn.Module], sums: dict[str, torch.Tensor], counts: dict[str, int]
) -> Iterator[list[torch.Tensor]]:
    """While this holds, what each layer is given is added up, where one of the masks that are handed out is as long."""
    masks: list[torch.Tensor] = []

    def adding(name: str) -> Callable[..., None]:
        def add(_: Any, given: tuple[torch.Tensor, ...]) -> None:
            mask = next((one for one in masks if one.shape == given[0].shape[:-1]), None)
            real = (given[0][mask] if mask is not None else given[0].flatten(0, -2)).double().cpu()
            sums[name] = sums.get(name, 0) + real.T @ real
            counts[name] = counts.get(name, 0) + len(real)

        return add

    hooks = [layer.register_forward_pre_hook(adding(name)) for name, layer in named.items()]
    try:
        yield masks
    finally:
        for hook in hooks:
            hook.remove()


def decomposed(weight: torch.Tensor, moment: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Directions (K, R), singular values (R,) and directions (R, N) whose product is a weight (K, N), the largest first.

    With the second moments of inputs, a value squared is what the outputs' mean square loses without it (SVD-LLM,
    arXiv:2403.07378); else what the weight loses (Eckart-Young).
    """
    weight = weight.detach().double().cpu()
    if moment is None:
        found, values, turned = torch.linalg.svd(weight, full_matrices=False)
        return found, values, turned
    size, turn = torch.linalg.eigh(moment)
    root = (size.clamp(min=0) + LIFT * size.clamp(min=0).mean() + torch.finfo(size.dtype).tiny).sqrt()
    found, values, turned = torch.linalg.svd(root[:, None] * (turn.T @ weight), full_matrices=False)
    return turn @ (found / root[:, None]), values, turned


def factored(model: Any, seen: Mapping[str, torch.Tensor], share: float) -> Any:
    """A copy whose blocks' linear layers have at most that share of their weights; `seen` are moments of what they are given."""
    small = copy.deepcopy(model)
    for name, layer in layers(small).items():
        weight = layer.weight.T if isinstance(layer, nn.Linear) else layer.weight
        rank = int(share * weight.numel() / sum(weight.shape))
        if 0 < rank * sum(weight.shape) < weight.numel():
            first, values, second = decomposed(weight, seen.get(name))
            root = values[:rank].sqrt()
            small.set_submodule(name, Factors(first[:, :rank] * root, root[:, None] * second[:rank], layer.bias))
    return small
