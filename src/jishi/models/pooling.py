"""States as one vector a text, as `heads.pool` of tensors, of arrays: for what a graph says, which needs no torch."""

import numpy

LEAST = 1e-12  # of a length that is divided by


def pool(states: numpy.ndarray, mask: numpy.ndarray, pooling: str) -> numpy.ndarray:
    """States (B, T, D) as (B, D): the first ("cls"), the mean or the maximum of those where `mask` (B, T) is not 0."""
    if pooling == "cls":
        return states[:, 0]
    kept = mask[..., None].astype(bool)
    if pooling == "max":
        return numpy.where(kept, states, numpy.finfo(states.dtype).min).max(1)
    return (states * kept).sum(1) / numpy.maximum(kept.sum(1), 1).astype(states.dtype)


def unit(vectors: numpy.ndarray) -> numpy.ndarray:
    """Vectors (B, D) of length 1."""
    return vectors / numpy.maximum(numpy.linalg.norm(vectors, axis=-1, keepdims=True), LEAST)
