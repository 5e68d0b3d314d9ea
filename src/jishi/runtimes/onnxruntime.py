"""ONNX Runtime: graphs on any CPU, and the one that has kernels for its own int8."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jishi.core.bundle import Bundle
from jishi.core.contracts import Runtime
from jishi.core.errors import MissingExtra, ModelError
from jishi.models import environment, folder, graph_model


@dataclass(frozen=True)
class OnnxRuntime(Runtime):
    """A graph, on as many threads as torch would take."""

    reads = folder.GRAPH

    def open(self, read: Bundle, shared: Any = None) -> tuple[Any, Any]:  # noqa: ARG002
        try:
            import onnxruntime
        except ModuleNotFoundError as missing:
            raise MissingExtra(str(missing.name), graph_model.EXTRA) from missing
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = environment.threads()
        options.log_severity_level = 3

        def session(file: Path) -> tuple[Any, ...]:
            try:
                found = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
            except Exception as error:  # its errors have no common kind
                raise ModelError("models.graph-broken", path=file, reason=str(error)) from error
            inputs = {
                value.name: [size if isinstance(size, int) else None for size in value.shape]
                for value in found.get_inputs()
            }
            outputs = [value.name for value in found.get_outputs()]
            return inputs, outputs, lambda given: found.run(outputs, dict(given))

        return graph_model.answering(read, session)
