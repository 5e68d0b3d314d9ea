"""In every step: what is surely said of a row hardly varied must be said of it varied much (FixMatch, arXiv:2001.07685).

Strong on pictures, where variations keep the label; needs many steps, each about `1 + 2 ratio` times as dear. `uda` is softer.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le

from jishi.core.contracts import Augmentation, SemiSupervision, option


@dataclass(frozen=True)
class FixMatch(SemiSupervision):
    """The likeliest label of the row hardly varied, where its probability reaches the threshold, is what is learnt."""

    threshold: Annotated[float, Ge(0), Le(1)] = option(
        0.95, "Probability from which a row is learnt.", "概率达到此值的行才参与学习。"
    )
    ratio: Annotated[int, Ge(1)] = option(
        2, "Unlabelled rows beside each labelled one.", "每个有标签行搭配的无标签行数。"
    )
    weight: Annotated[float, Gt(0)] = option(1.0, "What their loss is multiplied by.", "其损失的权重。")
    ramp: Annotated[float, Ge(0), Le(1)] = option(
        0.0, "Share of the steps in which the weight rises from 0.", "权重从 0 升至设定值所占的步数比例。"
    )
    strong: tuple[Augmentation, ...] | None = option(
        None,
        "How rows are varied much; left out, eda for texts, rand-augment and cutout for pictures; []: by dropout alone. Hardly "
        "varied is as train.augment, or the task, varies training rows.",
        "强增强的方法；省略时文本用 eda，图片用 rand-augment 与 cutout；[] 表示仅靠 dropout。弱增强与训练数据相同"
        "（train.augment 或任务自带）。",
    )

    def teach(self, probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sure, given = probabilities.max(1)
        return torch.nn.functional.one_hot(given, probabilities.shape[1]), (sure >= self.threshold).float()
