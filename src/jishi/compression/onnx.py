"""The model as an ONNX graph, in fp32: the same answers, without torch's weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jishi.core.contracts import Compressor, Row
from jishi.core.errors import UsageError
from jishi.models import graph, graph_model


@dataclass(frozen=True)
class Onnx(Compressor):
    """Exported by torch's own exporter (dynamo), sizes of batches free; the runtime is chosen where it is loaded.
    Of a model that writes it holds one step; what an encoder reads for it is a second graph."""

    lossless = True
    searched = True

    def apply(self, predictor: Any, rows: Sequence[Row]) -> tuple[Any, Any]:
        if isinstance(predictor.model, graph_model.Graph):
            raise UsageError("compress.graph-already", path=predictor.path)
        made = graph.content(predictor.task, predictor.model, predictor.processor, rows)
        return graph.Exported(predictor.model.config, made), predictor.processor
