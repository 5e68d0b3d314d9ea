"""Learn mixtures of two rows, whose answer is mixed alike (mixup, arXiv:1710.09412; of words: arXiv:1905.08941).

Rows of a batch are mixed in pairs: embeddings of words, or pixels. Fewer sure mistakes, smoother answers; twice the work a step.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt

from jishi.core.contracts import Batch, Loss, Regularization, option
from jishi.core.errors import TrainingError
from jishi.regularization import _shift


@dataclass(frozen=True)
class Mixup(Regularization):
    """The loss of a mixture of each row with another: that of both answers, weighed as the rows are."""

    alpha: Annotated[float, Gt(0)] = option(
        0.4, "Both parameters of the Beta distribution that shares are drawn from: larger mixes more evenly.",
        "混合比例所服从的 Beta 分布参数：越大越均匀。",
    )  # fmt: skip
    how: Literal["blend", "patch"] = option(
        "blend",
        "Of pictures: blend both, or put a patch of the other into one (CutMix, arXiv:1905.04899).",
        "图片的混合方式：blend 为叠加，patch 为用另一张的局部替换（CutMix，arXiv:1905.04899）。",
    )

    def loss(self, model: Any, batch: Batch, ask: _shift.Ask) -> Loss:
        labels = batch.get("labels")
        if labels is None or (labels.dim() != 1 and not labels.is_floating_point()):
            raise TrainingError("training.no-labels-to-mix")
        _shift.still(model, batch)  # raises where there is nothing to mix
        other = torch.randperm(len(labels), device=labels.device)
        share = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        share = max(share, 1 - share)  # the row itself has the larger part, so that its length and place hold
        kept = self._kept(batch, share)
        share = share if kept is None else float(kept.float().mean())

        def mix(given: torch.Tensor) -> torch.Tensor:
            if kept is not None:
                return torch.where(kept, given, given[other])
            return share * given + (1 - share) * given[other]

        mine = _shift.asked(model, batch, ask, mix)
        theirs = _shift.asked(model, {**batch, "labels": labels[other]}, ask, mix)
        value = share * mine.value + (1 - share) * theirs.value
        return Loss(value, mine.outputs, mine.parts, mine.count)

    def _kept(self, batch: Batch, share: float) -> torch.Tensor | None:
        """Which pixels (H, W) stay the row's own, where a patch of the other is put in."""
        if self.how == "blend" or _shift.PIXELS not in batch:
            return None
        high, wide = batch[_shift.PIXELS].shape[-2:]
        size = [round(side * (1 - share) ** 0.5) for side in (high, wide)]
        top, left = (int(torch.randint(side - part + 1, ())) for side, part in zip((high, wide), size, strict=True))
        kept = torch.ones(high, wide, dtype=torch.bool, device=batch[_shift.PIXELS].device)
        kept[top : top + size[0], left : left + size[1]] = False
        return kept
