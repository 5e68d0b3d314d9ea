"""Weights in four bits, with a scale for each block of them: about a sixth of the bytes, for ONNX Runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jishi.core.contracts import Compressor, Row, option
from jishi.core.errors import MissingExtra
from jishi.models import graph, graph_model


@dataclass(frozen=True)
class Int4(Compressor):
    """An ONNX graph for ONNX Runtime, whose weights stand in four bits in blocks down a column (block-wise: arXiv:2208.07339 for
    what is multiplied, arXiv:2212.09720 for four bits). No rows are needed to fit it. Tables that are looked up and kernels of
    convolutions are in eight bits."""

    searched = True

    block: Literal[16, 32, 64, 128] = option(
        32,
        "Values that share a scale: 16, 32, 64 or 128. Fewer lose less and take more bytes.",
        "共用一个缩放系数的值数：16、32、64 或 128。越少则损失越小、占用越多。",
    )

    def apply(self, predictor: Any, rows: Sequence[Row]) -> tuple[Any, Any]:
        try:
            import onnx

            from jishi.compression._blocks import blocks
        except ModuleNotFoundError as missing:
            raise MissingExtra(str(missing.name), graph_model.EXTRA) from missing
        whole = graph.of(predictor, rows)
        made = {
            name: blocks(onnx.load_model_from_string(one), self.block).SerializeToString()
            for name, one in whole.items()
        }
        return graph.Exported(predictor.model.config, made), predictor.processor
