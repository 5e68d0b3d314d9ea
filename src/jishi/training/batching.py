"""Batches of rows of like length, in an order that depends on the seed and the epoch only."""

from collections.abc import Sequence

import numpy as np

# Rows are sorted by length within windows: at most this many batches, and at least this many windows an epoch, so that
# there is little padding and yet every epoch mixes the rows anew.
WINDOW = 32
WINDOWS = 4


def epoch_batches(
    lengths: Sequence[int], *, batch_size: int, batch_tokens: int | None, seed: int, epoch: int
) -> list[list[int]]:
    """Row indices of each batch of one epoch; every row exactly once.

    A batch has at most `batch_size` rows and, where `batch_tokens` is given, at most that many tokens when padded (a single
    longer row makes a batch of its own).
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    batches: list[list[int]] = []
    width = batch_size * min(WINDOW, max(1, len(order) // (batch_size * WINDOWS)))
    for start in range(0, len(order), width):
        window = sorted(order[start : start + width].tolist(), key=lambda index: lengths[index])
        batches.extend(_cut(window, lengths, batch_size, batch_tokens))
    return [batches[index] for index in rng.permutation(len(batches))]


def _cut(window: list[int], lengths: Sequence[int], batch_size: int, batch_tokens: int | None) -> list[list[int]]:
    batches: list[list[int]] = []
    for index in window:  # sorted: the newest row is the longest, so it sets the padded size
        fits = (
            batches
            and len(batches[-1]) < batch_size
            and (batch_tokens is None or (len(batches[-1]) + 1) * lengths[index] <= batch_tokens)
        )
        if fits:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def padding_share(batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> float:
    """Share of the padded tokens that are padding."""
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    return 1 - sum(lengths[index] for batch in batches for index in batch) / padded if padded else 0.0
