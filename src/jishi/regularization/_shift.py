"""Where an input can be pushed about: the embeddings (B, T, D) of a text, or the pixels (B, C, H, W) of a picture."""

from collections.abc import Callable
from typing import Any

import torch

from jishi.core.contracts import Batch, Loss
from jishi.core.errors import TrainingError

Ask = Callable[[Batch], Loss]
PIXELS, IDS = "pixel_values", "input_ids"
TINY = 1e-12
CONTRAST = 0.1  # of a picture's: a change of half of that is hardly seen


def still(model: Any, batch: Batch) -> torch.Tensor:
    """A shift of nothing, whose gradient is that of the input. Raises TrainingError where there is no one input to push."""
    if PIXELS in batch and IDS not in batch:
        return torch.zeros_like(batch[PIXELS], requires_grad=True)
    table = model.get_input_embeddings() if IDS in batch and batch[IDS].dim() == 2 else None
    if table is None or model.config.is_encoder_decoder:
        raise TrainingError("training.no-input-to-push", given=type(model).__name__)
    width, device = table.weight.shape[1], batch[IDS].device
    return torch.zeros(*batch[IDS].shape, width, device=device, requires_grad=True)


def asked(model: Any, batch: Batch, ask: Ask, change: Callable[[torch.Tensor], torch.Tensor]) -> Loss:
    """The loss of a batch whose input is changed on its way into the model."""
    if PIXELS in batch:
        return ask({**batch, PIXELS: change(batch[PIXELS])})
    hook = model.get_input_embeddings().register_forward_hook(lambda _, __, said: change(said))
    try:
        return ask(batch)
    finally:
        hook.remove()


def unit(model: Any, batch: Batch) -> torch.Tensor:
    """What shifts are measured in (B, 1, 1): the length of a word's embedding, the root of the mean over the row's; of a
    picture a tenth of its contrast, the length of what differs from its mean (B, 1, 1, 1)."""
    with torch.no_grad():
        if PIXELS in batch:
            pixels = batch[PIXELS]
            return CONTRAST * length(pixels - pixels.flatten(1).mean(1).view(-1, 1, 1, 1))
        words = model.get_input_embeddings()(batch[IDS])  # (B, T, D)
        kept = batch.get("attention_mask", torch.ones_like(batch[IDS]))
        squares = (words.float().square().sum(-1) * kept).sum(1) / kept.sum(1).clamp(min=1)
        return squares.sqrt().view(-1, 1, 1)


def length(shift: torch.Tensor) -> torch.Tensor:
    """The length of each row's shift, shaped to divide it."""
    return shift.flatten(1).norm(dim=1).clamp(min=TINY).view(-1, *[1] * (shift.dim() - 1))


def uphill(loss: Loss, shift: torch.Tensor, *, keep: bool = False) -> torch.Tensor:
    """The direction in which each row's loss grows fastest, of length one; `keep` where the loss is minimised too."""
    gradient = torch.autograd.grad(loss.value, shift, retain_graph=keep)[0].detach()
    return gradient / length(gradient)


def plus(one: Loss, other: torch.Tensor, weight: float, name: str) -> Loss:
    """A loss with a further term, told under its name."""
    return Loss(one.value + weight * other, one.outputs, {**one.parts, name: float(other.detach())}, one.count)
