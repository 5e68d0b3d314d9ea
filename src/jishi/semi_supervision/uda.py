"""In every step: what is said of a row hardly varied, sharpened, must be said of it varied much (UDA, arXiv:1904.12848).

As `fixmatch`, with soft targets and a lower threshold: more rows teach, each less; for texts, whose variations are less sure.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le

from jishi.core.contracts import Augmentation, SemiSupervision, option


@dataclass(frozen=True)
class UDA(SemiSupervision):
    """The probabilities of the row hardly varied, divided in temperature, are what is learnt."""

    threshold: Annotated[float, Ge(0), Le(1)] = option(
        0.8, "Probability from which a row is learnt.", "概率达到此值的行才参与学习。"
    )
    temperature: Annotated[float, Gt(0), Le(1)] = option(
        0.4, "What is said is sharpened by it; 1: as it is.", "锐化所用的温度；1 表示不锐化。"
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
        sharper = (probabilities.clamp(min=1e-12).log() / self.temperature).softmax(1)
        return sharper, (probabilities.max(1).values >= self.threshold).float()
