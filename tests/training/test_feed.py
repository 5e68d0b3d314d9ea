"""Batches made ahead by other processes are the same batches."""

import numpy as np
import pytest
import torch

from jishi.training.feed import Maker, feed
from points import Points, rows

WINDOWS = [[[0, 1], [2]], [[3, 4, 5]], [[6], [7]]]


class Drawing(Points):
    def vary(self, features, processor, rng, *, training):
        return {**features, "y": float(rng.random()) if training else -1.0}


def maker(epoch: int = 0) -> Maker:
    return Maker(Drawing(), None, [{"length": 1, **row} for row in rows(8)], 7, epoch)


@pytest.mark.parametrize("workers", [0, 2])
def test_every_window_comes_with_its_own_batches_in_order(workers):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    found = list(feed(maker(), WINDOWS, workers=workers, pinned=False))
    assert torch.equal(torch.rand(1), expected)  # the run's random state is its own
    assert [[piece for piece, _ in window] for window in found] == WINDOWS
    for window in found:
        for piece, batch in window:
            drawn = [np.random.default_rng([7, 0, row]).random() for row in piece]
            torch.testing.assert_close(batch["labels"].double(), torch.tensor(drawn).double(), atol=1e-6, rtol=0)


def test_another_epoch_draws_other_numbers_and_a_trial_none():
    assert not torch.equal(maker(0)([1])["labels"], maker(1)([1])["labels"])
    assert maker()([1], training=False)["labels"].tolist() == [-1.0]
