"""Cross-entropy over a vocabulary at the positions that have a target, and nowhere else.

With a large vocabulary the logits (N, V) take most of the memory of a step. Here they are made some positions at a time, and what
comes of them, the gradients of states, weight and bias, is computed at once, so that no logit is kept or computed again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional

from jishi.core.contracts import Batch
from jishi.core.errors import TrainingError

AT_ONCE = 2**24  # logits held at a time: with fewer, the whole weight is read and its gradient written more often
POSITIONS = 64  # at least so many at a time, for the same reason
IN_CACHE = 2**20  # logits whose softmax is made at a time
FEW = 1 / 4  # of those held at a time are as well done by torch
_last: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()  # what `_is_last` found of each output layer


def cross_entropy(
    model: Any, inputs: Batch, places: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.0
) -> tuple[Any, torch.Tensor]:
    """The summed loss of the N targets at the N true places (B, T), and the logits (N, V).

    Where the logits would be many, the states (N, D) that the output layer reads stand in their place. With `smoothing`
    that share of each target is spread evenly over the vocabulary (arXiv:1512.00567).
    """
    if not isinstance(model, nn.Module):  # a graph: nothing can be taken out of it
        return _plain(model, inputs, places, targets, smoothing)
    layer = whole(model).get_output_embeddings()
    if type(layer) is not nn.Linear or len(targets) <= FEW * _step(layer.weight):  # a wrapped one does more
        return _plain(model, inputs, places, targets, smoothing)
    if layer not in _last:
        _last[layer] = _is_last(model, layer, inputs, places)
    if not _last[layer]:
        return _plain(model, inputs, places, targets, smoothing)
    with _passing(layer):
        states = logits_at(model, inputs, places)
    if torch.is_grad_enabled():
        return Total.apply(states, layer.weight, layer.bias, targets, smoothing), states
    return _total(states, layer.weight, layer.bias, targets, smoothing), states


def _plain(
    model: Any, inputs: Batch, places: torch.Tensor, targets: torch.Tensor, smoothing: float
) -> tuple[Any, torch.Tensor]:
    logits = logits_at(model, inputs, places)
    return functional.cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=smoothing), logits


def logits_at(model: Any, inputs: Batch, places: torch.Tensor) -> torch.Tensor:
    """Logits (N, V) at the N true places (B, T) only: the head, most of the cost, sees no other state.

    The last states of the backbone, or of its decoder where it has one, are gathered on their way to the head, so any
    transformers model with one of each will do. A head that reads more of a row than one state sees them all.
    """

    def gather(module: Any, given: Any, output: Any) -> Any:  # noqa: ARG001
        if isinstance(output, tuple):
            return (output[0][places][None], *output[1:])
        output.last_hidden_state = output.last_hidden_state[places][None]
        return output

    if not isinstance(model, nn.Module) or getattr(inner := whole(model), "reads_rows", False):
        return model(**inputs).logits[places]  # type: ignore[no-any-return]
    last = inner.get_decoder() if inner.config.is_encoder_decoder else inner.base_model
    hook = last.register_forward_hook(gather)
    try:
        return model(**inputs).logits[0]
    finally:
        hook.remove()


def whole(model: Any) -> Any:
    """The transformers model, also where an adaptation has wrapped it."""
    from transformers import PreTrainedModel

    return next(module for module in model.modules() if isinstance(module, PreTrainedModel))


def _is_last(model: Any, layer: nn.Linear, inputs: Batch, places: torch.Tensor) -> bool:
    """Whether the logits are what the layer says, untouched (some models scale or bound them): one is looked at, once."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    one = torch.zeros_like(places)
    one.view(-1)[int(places.view(-1).nonzero()[0])] = True
    hook = layer.register_forward_hook(lambda _, __, output: seen.append((output, output.clone())))
    try:
        with torch.no_grad(), torch.random.fork_rng():
            logits = logits_at(model, inputs, one)
    finally:
        hook.remove()
    return len(seen) == 1 and seen[0][0].data_ptr() == logits.data_ptr() and torch.equal(seen[0][1][0], logits)


@contextmanager
def _passing(layer: nn.Linear) -> Iterator[None]:
    """While this holds, the layer hands on what it is given."""
    layer.forward = lambda states: states  # type: ignore[method-assign]
    try:
        yield
    finally:
        del layer.forward


class Total(torch.autograd.Function):
    """The summed loss of states (N, D) under a linear layer, whose gradients the forward pass has computed already."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> torch.Tensor:
        needed = zip(given[:3], ctx.needs_input_grad, strict=False)
        gradients = [torch.zeros_like(value) if learns else None for value, learns in needed]
        total = _total(*given, gradients)
        ctx.save_for_backward(gradients[0])
        ctx.others = gradients[1:]  # as large as the layer, whatever the batch: not counted as what a token keeps
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        if getattr(ctx, "spent", False):
            raise TrainingError("training.no-second-way-back")
        ctx.spent = True
        given = (*ctx.saved_tensors, *ctx.others)  # nobody else has them: a second whole gradient need not be made
        scaled = [None if one is None else one.mul_(gradient) for one in given]
        return (*scaled, None, None)


def _total(
    states: Any, weight: Any, bias: Any, targets: torch.Tensor, smoothing: float, gradients: Any = (None, None, None)
) -> torch.Tensor:
    """The summed loss, softmax in fp32; gradients that are tensors are added to."""
    device = states.device.type
    kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states.dtype
    total = torch.zeros((), device=states.device)
    with torch.autocast(device, enabled=False):  # its products are in `kind`; the weight is brought to it once
        inner, table, offset = (None if value is None else value.to(kind) for value in (states, weight, bias))
        buffer = inner.new_empty(min(len(inner), _step(weight)), len(weight))
        for part, here in zip(inner.split(len(buffer)), _ranges(len(inner), len(buffer)), strict=True):
            logits = torch.mm(part, table.T, out=buffer[: len(part)])
            if offset is not None:
                logits += offset
            learns = any(one is not None for one in gradients)
            total += _losses(logits, targets[here], smoothing, errors=learns)
            if learns:
                _add(logits, here, part, table, gradients)
    return total


def _losses(logits: torch.Tensor, targets: torch.Tensor, smoothing: float, *, errors: bool) -> torch.Tensor:
    """The summed loss of logits (n, V); with `errors` they become probability minus target."""
    total = logits.new_zeros((), dtype=torch.float32)
    for here in _ranges(len(logits), max(1, IN_CACHE // logits.shape[1])):
        right = targets[here, None]
        scores = functional.log_softmax(logits[here], -1, dtype=torch.float32)
        total -= (1 - smoothing) * scores.gather(1, right).sum()
        if smoothing:
            total -= smoothing * scores.mean(1).sum()
        if errors:
            scores.exp_()
            if smoothing:
                scores -= smoothing / scores.shape[1]
            logits[here] = scores.scatter_add_(1, right, scores.new_full(right.shape, smoothing - 1.0))
    return total


def _ranges(count: int, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, count, step))


def _step(weight: torch.Tensor) -> int:
    """Positions whose logits are made at a time."""
    return max(POSITIONS, AT_ONCE // len(weight))


def _add(errors: torch.Tensor, here: slice, states: torch.Tensor, weight: torch.Tensor, gradients: Any) -> None:
    """What the errors (n, V) of some positions add to the gradients of states, weight and bias."""
    if gradients[0] is not None:
        gradients[0][here] = errors @ weight
    if gradients[1] is not None and gradients[1].dtype == weight.dtype:
        torch.addmm(gradients[1], errors.T, states, out=gradients[1])
    elif gradients[1] is not None:
        for rows in _ranges(len(weight), max(1, IN_CACHE // weight.shape[1])):  # no second whole gradient
            gradients[1][rows] += errors[:, rows].T @ states
    if gradients[2] is not None:
        gradients[2] += errors.sum(0, dtype=gradients[2].dtype)
