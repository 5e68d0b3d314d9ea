import numpy as np
import pytest

from jishi.training.batching import epoch_batches, padding_share

LENGTHS = np.random.default_rng(3).integers(1, 60, 500).tolist()


def batches(lengths=LENGTHS, batch_size=8, batch_tokens=None, seed=0, epoch=0):
    return epoch_batches(lengths, batch_size=batch_size, batch_tokens=batch_tokens, seed=seed, epoch=epoch)


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 500])
@pytest.mark.parametrize("batch_tokens", [None, 100])
def test_every_row_stands_in_an_epoch_exactly_once(rows, batch_tokens):
    found = batches(LENGTHS[:rows], batch_tokens=batch_tokens)
    assert sorted(index for batch in found for index in batch) == list(range(rows))
    assert all(0 < len(batch) <= 8 for batch in found)


def test_the_order_depends_on_seed_and_epoch_only():
    assert batches(seed=1, epoch=2) == batches(seed=1, epoch=2)
    assert batches(seed=1, epoch=2) != batches(seed=1, epoch=3)
    assert batches(seed=1, epoch=2) != batches(seed=2, epoch=2)


def test_no_batch_costs_more_tokens_than_the_budget():
    for batch in batches(batch_size=64, batch_tokens=200):
        assert len(batch) * max(LENGTHS[index] for index in batch) <= 200


def test_a_row_longer_than_the_budget_stands_alone():
    lengths = [3, 500, 4, 600, 5]
    found = batches(lengths, batch_tokens=100)
    assert [1] in found and [3] in found
    assert sorted(len(batch) for batch in found) == [1, 1, 3]


def test_padding_share_is_that_worked_out_by_hand():
    # two batches: 2 and 4 padded to 8, 5 alone 5: 13 places hold 11 tokens
    assert padding_share([[0, 1], [2]], [2, 4, 5]) == pytest.approx(2 / 13)
    assert padding_share([], []) == 0.0
    assert padding_share([[0], [1]], [9, 1]) == 0.0


def test_rows_of_like_length_share_a_batch():
    shuffled = np.random.default_rng(0).permutation(len(LENGTHS)).tolist()
    plain = padding_share([shuffled[start : start + 8] for start in range(0, 500, 8)], LENGTHS)
    assert padding_share(batches(), LENGTHS) < plain / 3


def test_small_sets_mix_anew_every_epoch():
    """Were forty rows sorted by length as one window, the same eight would meet in every epoch."""
    lengths = list(range(1, 41))
    together = {frozenset(batch) for epoch in range(5) for batch in batches(lengths, epoch=epoch)}
    assert len(together) > 20  # five batches an epoch: 25 where none returns, 5 where all do


def test_batches_come_in_no_order_of_length():
    longest = [max(LENGTHS[index] for index in batch) for batch in batches()]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)
