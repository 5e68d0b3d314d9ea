"""A loss that hangs on all rows of a step, in pieces that fit into memory and in several processes (GradCache, arXiv:2101.06983).

Every piece is first asked without gradients what each row is compared by; the loss of all rows gives a gradient for each of
them; then every piece is asked again, with the same random numbers, and sends its rows' gradients back. What adds up is the
gradient of the whole, however it was cut.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch

from jishi.models.inference import to
from jishi.training import random_state
from jishi.training.feed import Piece
from jishi.training.packing import packed


def accumulate(update: Any, pieces: Sequence[Piece]) -> tuple[float, float, dict[str, float]]:
    """Add up the gradient of the summed loss; this process's share of that sum and of the targets, and the parts to log."""
    states, own = [], []
    with torch.no_grad():
        for piece in pieces:
            states.append(random_state.read())
            own.append(_ask(update, piece))
    cpu = torch.device("cpu")
    told = update.ranks.gather(
        (
            [[row.cpu() for row in rows] for rows in own],
            [to(batch, cpu) for _, batch in pieces] if update.ranks.count > 1 else [batch for _, batch in pieces],
        )
    )
    device = update.ranks.device
    everyone = [[row.to(device).requires_grad_() for rows in shown for row in rows] for shown, _ in told]
    batches = [to(batch, device) for _, theirs in told for batch in theirs]
    represented = [row for rows in everyone for row in rows]
    loss = update.objective.compare(represented, batches)
    weight = loss.weight(len(represented))
    (loss.value * weight).backward()
    gradients = iter([row.grad for row in everyone[update.ranks.rank]])
    for state, piece in zip(states, pieces, strict=True):
        random_state.put(state)
        _ask(update, piece, gradients)
    count = update.ranks.count
    return float(loss.value.detach()) * weight / count, weight / count, dict(loss.parts)


def _ask(update: Any, piece: Piece, gradients: Any = None) -> list[torch.Tensor]:
    """What the rows of a piece are compared by, (…) each; where gradients are given, they are sent back into the model."""
    rows, batch = piece
    batch = to(batch, update.ranks.device)
    with packed(update.model, batch) if update.packs else nullcontext():  # the way back may compute blocks again
        with update.ready(rows):
            shown = list(update.objective.represent(update.model, batch))
        if gradients is not None:
            pairs = [(row, next(gradients)) for row in shown]
            sent = [(row * gradient).sum() for row, gradient in pairs if gradient is not None]
            torch.stack(sent).sum().backward()
    return shown
