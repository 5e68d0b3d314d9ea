"""Every matrix of the blocks as two thinner ones, chosen by what rows of the task put through it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt

from jishi.compression import _factors, _guard
from jishi.core.contracts import Compressor, Row, option
from jishi.core.values import Compressed, Teaching
from jishi.models import graph, heads

NAME = "low-rank"


@dataclass(frozen=True)
class LowRank(Compressor):
    """For models of blocks with linear layers, each of which becomes two after another. What comes of it is an ONNX graph, for no
    family's configuration has words for such layers; `int8` and `int4` may follow."""

    learns = True

    share: Annotated[float, Gt(0), Lt(1)] = option(
        0.5, "Share of the weights of the blocks' linear layers that stays.", "各层线性权重中保留的参数比例。"
    )
    rows: Annotated[int, Ge(0)] = option(
        256,
        "Training rows whose inputs weigh what is lost (arXiv:2403.07378); 0: plain singular values.",
        "用其输入为损失加权的训练数据行数（arXiv:2403.07378）；0 为普通奇异值分解。",
    )
    heal: bool = option(
        False,
        "Train what is left as `train` says, by the task and by the model given.",
        "按 `train` 的设置，用任务与原模型训练剩余部分。",
    )
    taught: Annotated[float, Ge(0), Le(1)] = option(
        0.5,
        "Share of the loss of healing that is how far outputs are from those of the model given; the rest is the task's own.",
        "修复训练的损失中与原模型输出之差所占的比例，其余为任务自身的损失。",
    )
    states: Annotated[float, Ge(0)] = option(
        1.0, "Weight of how far the blocks' states are from those of the model given.", "各层状态与原模型之差的权重。"
    )

    def apply(self, predictor: Any, rows: Sequence[Row]) -> Compressed:
        _guard.plain(predictor, NAME)
        seen = _factors.moments(predictor, _guard.spread(rows, self.rows, NAME)) if self.rows else {}
        model = _factors.factored(predictor.model, seen, self.share)
        blocks = range(len(heads.layers(model)))
        pairs = tuple(zip(blocks, blocks, strict=True))
        teaching = Teaching(self.taught, self.states, pairs) if self.heal else None

        def exported(healed: Any) -> graph.Exported:
            made = graph.content(predictor.task, healed.cpu(), predictor.processor, rows)
            return graph.Exported(healed.config, made)

        return Compressed(model, predictor.processor, teaching, exported)
