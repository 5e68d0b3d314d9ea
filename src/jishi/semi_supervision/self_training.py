"""Train, label the rows the model is sure of, train again from the base on those too (pseudo-labels; arXiv:1911.04252).

The surest gain where the labelled rows already make a fair classifier; a run takes `rounds` trainings more, each on more rows.
"""

import math
from dataclasses import dataclass, replace
from typing import Annotated, Self

import numpy
import torch
from annotated_types import Ge, Gt, Le

from jishi.core.contracts import SemiSupervision, option

TINY = 1e-9  # of rounding


@dataclass(frozen=True)
class SelfTraining(SemiSupervision):
    """Labels come from calibrated confidences above a threshold at which enough of the validation rows are right."""

    rounds: Annotated[int, Ge(1)] = option(
        1,
        "Trainings after the first, each from the base, on the labels that the one before gave.",
        "首次训练之后再训练的轮数：每轮都从基座重新开始，使用上一轮模型给出的标签。",
    )
    precision: Annotated[float, Gt(0), Le(1)] = option(
        0.95,
        "How many of the validation rows above the threshold must be right; it is the lowest threshold at which they are.",
        "阈值以上的验证行须有多大比例正确；取满足此要求的最低阈值。",
    )
    balance: Annotated[float, Ge(1)] | None = option(
        3.0,
        "The odds of a label among the rows that are given one are at most so many times those among the training rows: of the "
        "others the surest are kept. null: whatever comes.",
        "某标签在打标签的行中的几率，最多为训练数据中的这么多倍，超出时保留最有把握者；null 表示不限。",
    )
    threshold: Annotated[float, Gt(0)] | None = option(
        None, "Confidence from which a label is given; left out, fitted on the validation rows.",
        "给出标签的置信度下限；省略时在验证数据上确定。",
    )  # fmt: skip
    shares: tuple[float, ...] = option(
        (), "Filled in: each label's share of the training rows.", "各标签的训练占比（自动填写）。"
    )

    def settle(self, probabilities: numpy.ndarray, right: numpy.ndarray, shares: numpy.ndarray) -> Self:
        fitted = lowest(probabilities.max(1), probabilities.argmax(1) == right, self.precision)
        return replace(self, threshold=self.threshold or fitted, shares=tuple(shares.tolist()))

    def teach(self, probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sure, given = probabilities.max(1)
        counts = sure >= (self.threshold or 0)
        if self.balance is not None and self.shares:
            found = numpy.bincount(given[counts].numpy(), minlength=len(self.shares))
            for label, most in enumerate(balanced(found, numpy.array(self.shares), self.balance)):
                own = (counts & (given == label)).nonzero()[:, 0]
                counts[own[sure[own].argsort(descending=True, stable=True)[most:]]] = False
        return torch.nn.functional.one_hot(given, probabilities.shape[1]), counts.float()


def balanced(counts: numpy.ndarray, shares: numpy.ndarray, odds: float) -> numpy.ndarray:
    """How many of each label's rows (K,) may stay, so that its odds among all that stay are at most so many times those of its
    share (K,)."""
    limits = odds * shares / (1 + (odds - 1) * shares)
    while (counts > (most := numpy.floor(limits * counts.sum() + TINY))).any():  # fewer rows allow fewer of each
        counts = numpy.minimum(counts, most).astype(int)
    return counts


def lowest(confidences: numpy.ndarray, right: numpy.ndarray, precision: float) -> float:
    """The lowest confidence (N,) from which on at least so large a share of the rows is `right` (N,); infinity where there is
    none. Rows of equal confidence stand on one side."""
    order = numpy.argsort(-confidences, kind="stable")
    sorted_, shares = confidences[order], numpy.cumsum(right[order]) / numpy.arange(1, len(order) + 1)
    last = numpy.append(sorted_[1:] < sorted_[:-1], True)
    found = numpy.flatnonzero(last & (shares >= precision))
    return float(sorted_[found[-1]]) if len(found) else math.inf
