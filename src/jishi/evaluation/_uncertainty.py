"""Every metric of every system with its interval, and each rival held against the model on the same resamples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jishi.core.contracts import Prediction, Row, Task
from jishi.metrics import bootstrap, significance
from jishi.metrics.proportion import wilson

SAMPLE = 50_000  # rows that resamples are drawn from; as many say how far a score may move


def sample(rows: int, seed: int) -> list[int]:
    """The places of the rows that stand for all: all of them where they are few."""
    if rows <= SAMPLE:
        return list(range(rows))
    return sorted(np.random.default_rng(seed).choice(rows, SAMPLE, replace=False).tolist())


def judge(
    task: Task,
    systems: Mapping[str, Sequence[Prediction]],
    credits: Mapping[str, np.ndarray],
    rows: Sequence[Row],
    *,
    resamples: int,
    seed: int,
    level: float,
) -> dict[str, Any]:
    """`scores`, `rivals` and the number of `resamples` used. The first of `systems` is the model, the others its rivals.

    Of m rows out of n a resample moves √(n / m) times as far as one of all: what it moved is scaled, around the score of all
    (the bootstrap of fewer rows, Bickel, Götze & van Zwet 1997).
    """
    values = {name: task.score(answers, rows) for name, answers in systems.items()}
    model, *rivals = systems
    metrics = list(values[model])
    places = sample(len(rows), seed)
    few = [rows[index] for index in places]
    some = {name: [answers[index] for index in places] for name, answers in systems.items()}

    def statistic(indices: np.ndarray) -> list[list[float]]:
        order = np.sort(indices).tolist()  # for the memory's sake: a third faster
        drawn = [few[index] for index in order]
        found = [task.score([answers[index] for index in order], drawn) for answers in some.values()]
        return [[score.get(metric, np.nan) for metric in metrics] for score in found]

    replicates = bootstrap.replicate(
        statistic, len(few), resamples=resamples, seed=seed
    )  # (resamples, systems, metrics)
    if len(few) < len(rows):
        whole = np.array([[values[name].get(metric, np.nan) for metric in metrics] for name in systems])
        replicates = whole + (replicates - replicates.mean(0)) * (len(few) / len(rows)) ** 0.5
    scores = {
        name: {
            metric: _interval(values[name].get(metric, np.nan), replicates[:, place, column], credits[name], level)
            for column, metric in enumerate(metrics)
        }
        for place, name in enumerate(systems)
    }
    decisive = replicates[:, :, metrics.index(task.metric)]
    compared = {}
    for place, name in enumerate(rivals, start=1):
        counted = all(_counts_right_rows(values[one][task.metric], credits[one]) for one in (model, name))
        pair = (credits[model], credits[name]) if counted else None
        difference = values[model][task.metric] - values[name][task.metric]
        compared[name] = {
            "scores": scores[name],
            **_compare(difference, decisive[:, 0] - decisive[:, place], pair, level),
        }
    return {"scores": scores[model], "rivals": compared, "resamples": len(replicates)}


def _compare(
    difference: float, differences: np.ndarray, pair: tuple[np.ndarray, np.ndarray] | None, level: float
) -> dict[str, Any]:
    """Model minus rival with interval and p-value: exact on a `pair` of credits where the metric counts right rows."""
    low, high = bootstrap.interval(differences, difference, level)
    p_value = significance.mcnemar(*pair) if pair else significance.paired_bootstrap(differences, difference)
    test = "mcnemar" if pair else "paired-bootstrap"
    return {"difference": difference, "low": low, "high": high, "p_value": p_value, "test": test}


def _interval(value: float, replicates: np.ndarray, credits: np.ndarray, level: float) -> dict[str, float]:
    low, high = bootstrap.interval(replicates, value, level)
    if low == high and _counts_right_rows(value, credits):  # all rows right (or wrong): no resample can show the doubt
        low, high = wilson(value, len(credits), level)
    return {"value": value, "low": low, "high": high}


def _counts_right_rows(value: float, credits: np.ndarray) -> bool:
    """Whether a metric is the share of rows answered right, so that tests made for counts fit it."""
    return bool(np.isin(credits, (0.0, 1.0)).all()) and bool(np.isclose(value, credits.mean(), rtol=0, atol=1e-9))
