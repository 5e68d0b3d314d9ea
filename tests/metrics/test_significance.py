"""Tests of tests: against the binomial distribution and against their own promise under the null."""

import numpy as np
import pytest
from scipy.stats import binomtest

from jishi.metrics.significance import mcnemar, paired_bootstrap


def test_mcnemar_is_a_coin_toss_over_the_rows_that_differ():
    first = [1] * 10 + [0] * 2 + [1] * 50 + [0] * 30
    second = [0] * 10 + [1] * 2 + [1] * 50 + [0] * 30
    assert mcnemar(first, second) == pytest.approx(binomtest(2, 12, 0.5).pvalue)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_equal_answers_are_no_evidence():
    assert mcnemar([1, 0, 1], [1, 0, 1]) == 1.0
    assert mcnemar([1, 0], [0, 1]) == 1.0
    assert paired_bootstrap(np.zeros(999), 0.0) == paired_bootstrap(np.zeros(9), 0.0) == 1.0


def test_thousands_of_differing_rows_do_not_overflow():
    assert mcnemar([1] * 3000 + [0] * 2800, [0] * 3000 + [1] * 2800) == pytest.approx(binomtest(2800, 5800, 0.5).pvalue)
    assert mcnemar([1] * 3000, [0] * 3000) == pytest.approx(0, abs=1e-300)


def test_paired_bootstrap_counts_both_sides_and_is_never_zero():
    mixed = np.array([1.0] * 900 + [-1.0] * 99)
    assert paired_bootstrap(np.ones(999), 1.0) == 2 / 1000
    assert paired_bootstrap(mixed, 0.8) == paired_bootstrap(-mixed, -0.8) == 2 * 100 / 1000
    assert paired_bootstrap(np.append(mixed, np.nan), 0.8) == 2 * 100 / 1000


def test_few_replicates_give_a_z_test():
    assert paired_bootstrap(np.array([0.4, 0.6] * 50), 0.196) == pytest.approx(0.05, abs=1e-4)
    assert paired_bootstrap(np.array([0.4, 0.6] * 50), -0.196) == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize("count", [100, 500])
def test_under_the_null_one_in_twenty_is_called_significant(count):
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(300):
        gap = rng.normal(0, 1, 80)
        replicates = gap[rng.integers(0, 80, (count, 80))].mean(axis=1)
        called += paired_bootstrap(replicates, gap.mean()) < 0.05
    assert 0.02 <= called / 300 <= 0.09
