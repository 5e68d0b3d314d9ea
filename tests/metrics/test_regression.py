import pytest

from jishi.metrics.regression import pearson, ranks, regression


def test_ranks_share_the_mean_place_of_ties():
    assert ranks([10, 30, 20, 20]).tolist() == [1, 4, 2.5, 2.5]


def test_scores_by_hand():
    scores = regression([1, 2, 3, 4], [1, 3, 2, 8])
    assert scores["rmse"] == pytest.approx(((0 + 1 + 1 + 16) / 4) ** 0.5)
    assert scores["mae"] == pytest.approx(1.5)
    assert scores["spearman"] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert scores["pearson"] == pytest.approx(10 / (5 * 29) ** 0.5)


def test_a_constant_side_has_no_correlation():
    assert pearson([1, 2, 3], [5, 5, 5]) == 0.0
    assert regression([], []) == {"pearson": 0.0, "spearman": 0.0, "rmse": 0.0, "mae": 0.0}
