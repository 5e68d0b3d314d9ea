"""Blocks, attention heads and feed-forward units taken out where rows of the task miss them least; then taught again.

The model is smaller in fact: fewer and smaller weights under a configuration of its own family, so any runtime is quicker by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le, Lt

from jishi.compression import _guard, _narrow
from jishi.compression._importance import measured
from jishi.compression._narrow import Size
from jishi.core.contracts import Compressor, Row, option
from jishi.core.errors import UsageError
from jishi.core.values import Compressed, Teaching

EVEN = 8  # units are kept by so many, which products are quickest with


@dataclass(frozen=True)
class Pruning(Compressor):
    """For encoders and decoders whose blocks are an attention and a feed-forward layer. `train` says how long what is left learns
    from the rows' targets and from the model it comes of; with `layers` alone this is distillation into a shallower student."""

    learns = True
    searched = True

    width: Annotated[float, Ge(0), Lt(1)] = option(
        0.5,
        "Share of the units of every feed-forward layer that goes, by first-order importance (arXiv:1906.10771).",
        "每个前馈层中按一阶重要性（arXiv:1906.10771）去掉的单元比例。",
    )
    layers: Annotated[float, Ge(0), Lt(1)] = option(
        0.0,
        "Share of the blocks that goes: those that turn the states least (arXiv:2403.03853).",
        "去掉的层的比例：改变状态最少者（arXiv:2403.03853）。",
    )
    heads: Annotated[float, Ge(0), Lt(1)] = option(
        0.0,
        "Share of every block's attention heads that goes (arXiv:1905.10650), where the family's configuration has a head_dim.",
        "每层去掉的注意力头比例（arXiv:1905.10650），仅限配置中含 head_dim 的模型系列。",
    )
    rows: Annotated[int, Ge(_guard.LEAST)] = option(
        256, "Training rows that importance is measured on.", "用于衡量重要性的训练数据行数。"
    )
    share: Annotated[float, Ge(0), Le(1)] = option(
        0.5,
        "Share of the loss of healing that is how far outputs are from those of the model given; the rest is the task's own.",
        "修复训练的损失中与原模型输出之差所占的比例，其余为任务自身的损失。",
    )
    states: Annotated[float, Ge(0)] = option(
        1.0, "Weight of how far the blocks' states are from those of the model given.", "各层状态与原模型之差的权重。"
    )

    def apply(self, predictor: Any, rows: Sequence[Row]) -> Compressed:
        _guard.plain(predictor, "pruning")
        found = measured(predictor, _guard.spread(rows, self.rows, "pruning"))
        before = _narrow.size_of(found)
        size = self._size(before)
        if size == before:
            raise UsageError("compress.nothing-out", blocks=before.blocks, groups=before.groups, units=before.units)
        model, kept = _narrow.narrowed(predictor.model, found, size)
        # What a block hands on should be what the next one that is left was used to.
        ends = [block - 1 for block in kept[1:]] + [before.blocks - 1] if len(kept) > 1 else ()
        return Compressed(model, predictor.processor, Teaching(self.share, self.states, tuple(enumerate(ends))))

    def _size(self, before: Size) -> Size:
        units = round(before.units * (1 - self.width) / EVEN) * EVEN if self.width else before.units
        return Size(
            max(1, round(before.blocks * (1 - self.layers))),
            max(1, round(before.groups * (1 - self.heads))),
            min(max(EVEN, units), before.units),
        )
