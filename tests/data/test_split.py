import numpy
import pytest

from jishi.data import split
from jishi.data.split import _shuffled

FRACTIONS = (0.8, 0.1, 0.1)


def hashes(count: int, start: int = 0) -> numpy.ndarray:
    return numpy.random.default_rng(start).integers(0, 2**63, size=count, dtype=numpy.uint64)


def test_the_order_is_that_of_splitmix64():
    # The first two outputs of the reference implementation from state 0.
    golden = 0x9E3779B97F4A7C15
    assert _shuffled(numpy.array([0, golden], dtype=numpy.uint64), 0).tolist() == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
    ]


def test_parts_have_their_shares_and_so_has_every_label():
    strata = numpy.repeat([0, 1, 2], [700, 250, 50])
    owners = split.assign(hashes(1000), strata, FRACTIONS, 0)
    assert numpy.abs(numpy.bincount(owners) - [800, 100, 100]).max() <= 2
    for label, rows in enumerate([700, 250, 50]):
        counts = numpy.bincount(owners[strata == label], minlength=3)
        assert numpy.abs(counts - numpy.array(FRACTIONS) * rows).max() <= 2


def test_a_label_of_one_row_is_in_train():
    strata = numpy.arange(40)
    assert (split.assign(hashes(40), strata, FRACTIONS, 0) == 0).all()


def test_duplicates_stay_together_whatever_their_labels():
    inputs = numpy.repeat(hashes(100), 3)
    strata = numpy.tile([0, 1, 1], 100)
    owners = split.assign(inputs, strata, FRACTIONS, 0).reshape(100, 3)
    assert (owners == owners[:, :1]).all()
    assert set(owners[:, 0].tolist()) == {0, 1, 2}


def test_the_seed_decides_and_nothing_else():
    inputs, strata = hashes(200), numpy.zeros(200, dtype=int)
    first = split.assign(inputs, strata, FRACTIONS, 7)
    assert (first == split.assign(inputs, strata, FRACTIONS, 7)).all()
    assert (first != split.assign(inputs, strata, FRACTIONS, 8)).any()
    backwards = split.assign(inputs[::-1], strata, FRACTIONS, 7)[::-1]
    assert (first == backwards).all()


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, {1: 1}), (3, {5: 1, 2: 1, 1: 1}), (6, {5: 3, 2: 2, 1: 1}), (8, {5: 5, 2: 2, 1: 1}), (99, {5: 5, 2: 2, 1: 1})],
)
def test_a_sample_is_even_over_the_labels_as_far_as_they_go(count, expected):
    strata = numpy.array([5, 5, 2, 5, 1, 5, 2, 5])
    chosen = split.sample(hashes(8), strata, count, 0)
    counts = dict(zip(*(part.tolist() for part in numpy.unique(strata[chosen], return_counts=True)), strict=True))
    assert sum(counts.values()) == min(count, 8)
    assert sorted(chosen.tolist()) == chosen.tolist()
    assert count == 1 or counts == expected


def test_a_sample_of_another_seed_holds_other_rows():
    strata = numpy.zeros(1000, dtype=int)
    one, other = (split.sample(hashes(1000), strata, 100, seed) for seed in (0, 1))
    assert 0 < len(numpy.intersect1d(one, other)) < 40  # 10 expected of independent samples
