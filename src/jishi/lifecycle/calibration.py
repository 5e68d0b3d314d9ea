"""Confidences that mean what they say, fitted on validation rows."""

from collections.abc import Sequence
from dataclasses import replace

from jishi.core.contracts import Row, Task
from jishi.predictor import Predictor

ROWS = 10_000  # that confidences are fitted on: their outputs are held at once


def calibrated(predictor: Predictor, rows: Sequence[Row] | None) -> Predictor:
    """The predictor whose task's confidences are fitted on the rows, or on so many at even distances; itself without any."""
    if not rows or type(predictor.task).calibrate is Task.calibrate:
        return predictor
    some = rows if len(rows) <= ROWS else [rows[index * len(rows) // ROWS] for index in range(ROWS)]
    return replace(predictor, task=predictor.task.calibrate(predictor.outputs(some), some))
