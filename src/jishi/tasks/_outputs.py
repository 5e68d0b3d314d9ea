"""Model outputs as arrays."""

from collections.abc import Iterable
from typing import Any

import numpy


def array(output: Any) -> numpy.ndarray:
    """One row's output as float64, whatever device and precision it comes from."""
    return (
        output.detach().float().cpu().numpy().astype(float)
        if hasattr(output, "detach")
        else numpy.asarray(output, dtype=float)
    )


def matrix(outputs: Iterable[Any]) -> numpy.ndarray:
    """The outputs of several rows (N, K)."""
    return numpy.stack([array(row) for row in outputs])
