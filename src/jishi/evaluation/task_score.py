"""Score a predictor on held-out rows, honestly: every metric with its interval, rivals beside it, and where it fails.

The report is plain JSON and holds what one needs in order to trust or refuse a model: `scores` with bootstrap intervals,
`rivals` with a paired test, `details` (per class, confusion), `calibration`, the worst `slices` and the surest `bad_cases`.

Neither rows nor answers need fit into memory: of a long set every row is scored, and intervals and slices come of a sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jishi.core import kept, registry
from jishi.core.contracts import Evaluator, Prediction, Row, Task, option
from jishi.core.errors import DataError, UsageError
from jishi.evaluation import _cases, _slices, _uncertainty
from jishi.metrics import calibration


@dataclass(frozen=True)
class TaskScore(Evaluator):
    """The task's own metrics with confidence intervals, beside plain rivals, with slices, calibration and bad cases."""

    samples: int = option(
        1000,
        "Bootstrap resamples; fewer are used on sets that take too long.",
        "自助法重采样次数；数据集过大时会自动减少。",
    )
    seed: int = option(0, "Seed of the resamples.", "重采样的随机种子。")
    level: float = option(
        0.95, "Confidence level of every interval, between 0 and 1.", "所有置信区间的置信水平，介于 0 和 1 之间。"
    )
    slices: int = option(20, "How many of the worst slices to report.", "报告中列出的最差切片数量。")
    bad_cases: int = option(
        50, "How many wrong answers to report, the surest first.", "报告中列出的错例数量，按置信度从高到低。"
    )

    def evaluate(  # type: ignore[override]
        self,
        predictor: Any,
        rows: Sequence[Row],
        *,
        predictions: Sequence[Prediction] | None = None,
        rivals: Mapping[str, Sequence[Prediction]] | None = None,
        task: Task | None = None,
    ) -> dict[str, Any]:
        """The report of `predictor` (or of `predictions` already made) on `rows`.

        `rivals` maps a name to the predictions of another system on the same rows. Raises DataError where there is
        nothing to score against.
        """
        task = task or predictor.task
        _check(task, rows)
        answers = kept.keep(predictor.examine(rows)) if predictions is None else predictions
        systems = {"": answers, **(rivals or {})}
        for name, given in systems.items():
            if len(given) != len(rows):
                raise UsageError("evaluation.length", given=len(given), allowed=len(rows), name=name or "predictor")
        credits = {name: _credits(task, given, rows) for name, given in systems.items()}
        scores = _uncertainty.judge(
            task, systems, credits, rows, resamples=self.samples, seed=self.seed, level=self.level
        )
        sample = _uncertainty.sample(len(rows), self.seed)
        some = [rows[index] for index in sample]
        return _cases.plain(
            {
                "task": _name(task),
                "metric": task.metric,
                "rows": len(rows),
                "sample": len(sample),
                "level": self.level,
                "credit": credits[""].mean(),
                **scores,
                "details": task.details(answers, rows),
                "calibration": self._calibration(answers, credits[""]),
                "slices": _slices.worst(task, some, credits[""][sample], count=self.slices, level=self.level),
                "bad_cases": _cases.surest(task, answers, rows, credits[""], count=self.bad_cases),
            }
        )

    def _calibration(self, answers: Sequence[Prediction], credits: np.ndarray) -> dict[str, Any]:
        """How honest the confidence of the answer given is; empty where answers carry no `score`."""
        sure = [_cases.confidence(answer) for answer in answers]
        known = np.array([value is not None for value in sure])
        if not known.any():
            return {}
        confidences = np.array([value for value in sure if value is not None])
        bins = calibration.reliability(confidences, credits[known], level=self.level)
        return {
            "ece": calibration.expected_calibration_error(bins),
            "brier": calibration.brier(confidences, credits[known]),
            "confidence": confidences.mean(),
            "accuracy": credits[known].mean(),
            "bins": bins,
        }


def _check(task: Task, rows: Sequence[Row]) -> None:
    if not rows:
        raise DataError("evaluation.no-rows")
    for index, row in enumerate(rows):
        if not any(all(row.get(column) is not None for column in columns) for columns in task.targets):
            allowed = " / ".join("+".join(columns) for columns in task.targets)
            raise DataError("evaluation.no-reference", row=index + 1, allowed=allowed)


def _credits(task: Task, answers: Sequence[Prediction], rows: Sequence[Row]) -> np.ndarray:
    return np.fromiter((task.credit(answer, row) for answer, row in zip(answers, rows, strict=True)), float, len(rows))


def _name(task: Task) -> str:
    """The name users type; a task defined outside the plugin folders (in a notebook) goes by its class."""
    try:
        return registry.name_of(task)
    except KeyError:
        return type(task).__name__
