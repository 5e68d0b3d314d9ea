"""Rows that the model disagrees with itself about (BALD, arXiv:1112.5745), by dropout (arXiv:1703.02910).

A row that is plainly between two labels keeps its entropy in every pass and is passed over; one that nobody taught the model
is answered otherwise each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy
from annotated_types import Ge

from jishi.acquisition import _apart, _uncertain
from jishi.core.contracts import Acquisition, Unlabelled, option


@dataclass(frozen=True)
class BALD(Acquisition):
    """The greatest mutual information of label and weights: entropy of the mean answer, less the mean entropy of the answers."""

    passes: Annotated[int, Ge(2)] = option(
        20, "How often each row is asked with dropout.", "每行在 dropout 下重复推断的次数。"
    )

    def choose(self, rows: Unlabelled, count: int, rng: numpy.random.Generator) -> Sequence[int]:  # noqa: ARG002
        passes = _passes(rows)
        of_mean = _uncertain.entropy(passes.mean(0), rows.several)
        return _apart.best(of_mean - _uncertain.entropy(passes, rows.several).mean(0), count, rows.vectors)


def _passes(rows: Unlabelled) -> numpy.ndarray:
    if rows.passes is None:
        raise ValueError("rows were not asked with dropout")
    return rows.passes
