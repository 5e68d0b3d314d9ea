"""Texts longer than a model reads: overlapping windows, and of each token what the window that sees most around it says.

The windows of a row stand in a batch as rows of their own; `stitch` makes one output a row of theirs.
"""

import itertools
from collections.abc import Sequence

import torch

from jishi.core.contracts import Batch, Features
from jishi.models import tokens


def spans(length: int, room: int, stride: int) -> list[tuple[int, int]]:
    """(start, end) of the windows over `length` tokens: `room` tokens wide at most, each beginning `stride` after the last.

    The last one ends with the text and is as wide as the others. Needs 0 < stride <= room.
    """
    starts = [*range(0, max(length - room, 0), stride), max(length - room, 0)]
    return [(start, min(start + room, length)) for start in starts]


def own(windows: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """For each window the part of the text that it speaks for: two that overlap meet halfway."""
    edges = [(left[1] + right[0] + 1) // 2 for left, right in itertools.pairwise(windows)]
    return list(zip([windows[0][0], *edges], [*edges, windows[-1][1]], strict=True))


def pad(features: Sequence[Features], processor: object) -> Batch:
    """The windows of all rows as one padded batch, see `tokens.pad`.

    Each row has "windows": features of their own, and "own": for each window the (start, end) of its tokens that count.
    """
    batch = tokens.pad([window for row in features for window in row["windows"]], processor)
    return {**batch, "own": [row["own"] for row in features]}


def stitch(outputs: torch.Tensor, parts: Sequence[Sequence[tuple[int, int]]]) -> list[torch.Tensor]:
    """Outputs (W, T, K) of all windows as one tensor (N, K) a row: the tokens that count, in their order."""
    windows = iter(outputs)
    return [torch.cat([next(windows)[start:end] for start, end in row]) for row in parts]
