"""What vectors of sentences learn from: losses over the rows of a step, each with its paper and what it needs of a row.

`rows` are the unit vectors of each row, (2 or 3, D): anchor, what belongs to it, and where there is one what does not.
`keys` (N, 2 or 3) number the same texts; `scores` (B,) are 0 to 1, NaN where a row has none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch.nn import functional

Rows = Sequence[torch.Tensor]
Keys = Sequence[Sequence[int]]


class Settings(Protocol):
    """What these functions need of a task."""

    temperature: float
    margin: float


def cosine(task: Settings, rows: Rows, keys: Keys, scores: torch.Tensor) -> tuple[torch.Tensor, int]:  # noqa: ARG001
    """Mean squared error of the cosine against the score (arXiv:1908.10084)."""
    known = _scored(rows, scores)
    return functional.mse_loss(_cosines(rows)[known], scores[known], reduction="sum"), int(known.sum())


def cosent(task: Settings, rows: Rows, keys: Keys, scores: torch.Tensor) -> tuple[torch.Tensor, int]:  # noqa: ARG001
    """Pairs with a higher score have a higher cosine: log(1 + Σ exp((cos_low − cos_high) / τ)) (CoSENT, Huang et al. 2024)."""
    known = _scored(rows, scores)
    cosines, truth = _cosines(rows)[known] / task.temperature, scores[known]
    wrong = cosines[:, None] - cosines[None, :]  # [i, j]: how far i stands above j
    counted = torch.cat([wrong.new_zeros(1), wrong[truth[:, None] < truth[None, :]]])
    return counted.logsumexp(0) * len(truth), len(truth)


def contrastive(task: Settings, rows: Rows, keys: Keys, scores: torch.Tensor) -> tuple[torch.Tensor, int]:  # noqa: ARG001
    """Each anchor finds its own among all of the step and the given negatives (InfoNCE, arXiv:1807.03748, arXiv:1705.00652).

    The same text again, and what belongs to an equal anchor, are no negatives.
    """
    paired = [(row, key) for row, key in zip(rows, keys, strict=True) if len(key) > 1]
    if not paired:
        return _nothing(rows), 0
    anchors = torch.stack([row[0] for row, _ in paired])  # (B, D)
    candidates = torch.cat([torch.stack([row[1] for row, _ in paired]), *[row[2 : len(key)] for row, key in paired]])
    anchor_keys = torch.tensor([key[0] for _, key in paired])
    own_keys = torch.tensor([key[1] for _, key in paired])
    others = torch.cat([own_keys, torch.tensor([key[2] for _, key in paired if len(key) > 2], dtype=torch.long)])
    belongs = anchor_keys[:, None] == anchor_keys[None, :]  # (B, B): rows of equal anchors
    same = ((belongs.float() @ (own_keys[:, None] == others[None, :]).float()) > 0) | (
        anchor_keys[:, None] == others[None, :]
    )
    same[torch.arange(len(paired)), torch.arange(len(paired))] = False  # but its own
    logits = (anchors @ candidates.T / task.temperature).masked_fill(same.to(anchors.device), -torch.inf)
    targets = torch.arange(len(paired), device=anchors.device)
    return functional.cross_entropy(logits, targets, reduction="sum"), len(paired)


def simcse(task: Settings, rows: Rows, keys: Keys, scores: torch.Tensor) -> tuple[torch.Tensor, int]:
    """A text finds itself among the others, read twice with other dropout (arXiv:2104.08821)."""
    views = [torch.stack([row[0], row[-1]]) for row in rows]
    return contrastive(task, views, [(key[0], key[0] ^ 1) for key in keys], scores)


def triplet(task: Settings, rows: Rows, keys: Keys, scores: torch.Tensor) -> tuple[torch.Tensor, int]:  # noqa: ARG001
    """The cosine of what belongs together is higher by the margin than that of what does not (arXiv:1503.03832)."""
    whole = [row for row, key in zip(rows, keys, strict=True) if len(key) > 2]
    if not whole:
        return _nothing(rows), 0
    anchor, right, wrong = torch.stack([row[:3] for row in whole]).unbind(1)
    return functional.relu(task.margin + (anchor * (wrong - right)).sum(-1)).sum(), len(whole)


SUMS: Mapping[str, Callable[[Settings, Rows, Keys, torch.Tensor], tuple[torch.Tensor, int]]] = {
    "cosine": cosine,
    "cosent": cosent,
    "contrastive": contrastive,
    "simcse": simcse,
    "triplet": triplet,
}  # the sum over rows, and their number


def _cosines(rows: Rows) -> torch.Tensor:
    return torch.stack([(row[0] * row[min(1, len(row) - 1)]).sum() for row in rows])


def _scored(rows: Rows, scores: torch.Tensor) -> torch.Tensor:
    pairs = torch.tensor([len(row) > 1 for row in rows], device=scores.device)
    return ~scores.isnan() & pairs


def _nothing(rows: Rows) -> torch.Tensor:
    return torch.stack([row.sum() for row in rows]).sum() * 0
