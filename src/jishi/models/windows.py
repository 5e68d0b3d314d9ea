"""Texts longer than a model reads: overlapping windows, and of each token what the window that sees most around it says.

The windows of a row stand in a batch as rows of their own; `stitch` makes one output a row of theirs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from jishi.core.contracts import Batch, Features
from jishi.models import tokens

if TYPE_CHECKING:
    import torch


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


def cut(features: Features, before: int, after: int, limit: int, stride: int | None = None) -> Features:
    """Features of a text with "windows" and "own" (see `pad`) where it has more than `limit` tokens, else as they are.

    `before` and `after` are the marks at its ends, which every window has; "length" is then that of all windows.
    """
    ids, count = features["input_ids"], features["length"] - before - after
    room = max(limit - before - after, 1)
    if count <= room:
        return features
    places = spans(count, room, min(stride or max(room - room // 4, 1), room))
    starts = [before - start for start, _ in places]
    owned = [(first + start, last + start) for start, (first, last) in zip(starts, own(places), strict=True)]
    owned[0] = (0, owned[0][1])  # the marks at the ends of the text count once
    owned[-1] = (owned[-1][0], owned[-1][1] + after)
    parts = [
        numpy.concatenate([ids[:before], ids[before + start : before + end], ids[before + count :]])
        for start, end in places
    ]
    return {
        **features,
        "windows": [{"input_ids": part, "length": len(part)} for part in parts],
        "own": owned,
        "length": sum(map(len, parts)),
    }


def arrays(features: Sequence[Features], processor: object) -> Batch:
    """The windows of all rows as one padded batch, see `tokens.arrays`; a row without is one window.

    Rows have "windows": features of their own, and "own": for each window the (start, end) of its tokens that count.
    """
    batch = tokens.arrays([window for row in features for window in row.get("windows", [row])], processor)
    return {**batch, "own": [row["own"] if "own" in row else [(0, row["length"])] for row in features]}


def spread(values: numpy.ndarray, features: Features, fill: int) -> list[numpy.ndarray]:
    """Values (N,) of a row's tokens as one array a window, `fill` where another window speaks: what `stitch` undoes."""
    found, place = [], 0
    for window, (start, end) in zip(features.get("windows", ()), features.get("own", ()), strict=True):
        part = numpy.full(window["length"], fill, dtype=values.dtype)
        part[start:end] = values[place : place + end - start]
        place += end - start
        found.append(part)
    return found or [values]


def stitch(outputs: Any, parts: Sequence[Sequence[tuple[int, int]]]) -> list[Any]:
    """Outputs (W, T, K) of all windows, a tensor or an array, as one (N, K) a row: the tokens that count, in their order."""
    windows = iter(outputs)
    return [joined([next(windows)[start:end] for start, end in row]) for row in parts]


def joined(parts: Sequence[numpy.ndarray | torch.Tensor]) -> Any:
    """Tensors, or arrays, one after the other."""
    if isinstance(parts[0], numpy.ndarray):
        return numpy.concatenate(parts)
    import torch

    return torch.cat(parts)  # type: ignore[arg-type]
