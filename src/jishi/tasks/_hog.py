"""Histograms of oriented gradients, the classical description of a shape (Dalal & Triggs 2005)."""

from collections.abc import Iterable
from typing import Any

import numpy

SIDE, CELL, BINS = 64, 8, 9  # pixels, pixels, directions


def describe(pictures: Iterable[Any]) -> numpy.ndarray:
    """PIL images as (N, 1764): 7 × 7 blocks of 2 × 2 cells, each block of length one."""
    return numpy.stack(
        [_one(numpy.asarray(picture.convert("L").resize((SIDE, SIDE)), dtype=float)) for picture in pictures]
    )


def _one(grey: numpy.ndarray) -> numpy.ndarray:
    down, across = numpy.gradient(grey)
    strength = numpy.hypot(down, across)
    direction = (numpy.arctan2(down, across) % numpy.pi) / numpy.pi * BINS  # unsigned
    cells = numpy.stack(
        [
            (strength * (direction.astype(int) % BINS == number)).reshape(SIDE // CELL, CELL, -1, CELL).sum((1, 3))
            for number in range(BINS)
        ],
        axis=-1,
    )  # (8, 8, BINS)
    blocks = numpy.concatenate([cells[:-1, :-1], cells[:-1, 1:], cells[1:, :-1], cells[1:, 1:]], axis=-1)
    return (blocks / (numpy.linalg.norm(blocks, axis=-1, keepdims=True) + 1e-6)).ravel()
