"""OpenVINO: graphs on Intel's CPUs, where it knows instructions that others don't."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jishi.core import registry
from jishi.core.bundle import Bundle
from jishi.core.contracts import Runtime
from jishi.core.errors import MissingExtra, ModelError
from jishi.models import environment, folder, graph_model


@dataclass(frozen=True)
class OpenVino(Runtime):
    """A graph, in fp32, on as many threads as torch would take."""

    reads = folder.GRAPH

    def open(self, read: Bundle, shared: Any = None) -> tuple[Any, Any]:  # noqa: ARG002
        try:
            import openvino
        except ModuleNotFoundError as missing:
            raise MissingExtra(str(missing.name), "openvino") from missing
        # left alone it computes in bf16 where the CPU can: other answers than those recorded
        how = {"INFERENCE_NUM_THREADS": environment.threads(), "INFERENCE_PRECISION_HINT": "f32"}
        core = openvino.Core()
        return graph_model.answering(read, lambda file: self._file(core, file, how))

    def _file(self, core: Any, file: Path, how: Mapping[str, Any]) -> tuple[Any, ...]:
        """What goes into a graph, what comes out, and how that is worked out."""
        mark = ["framework", graph_model.ONLY]
        try:
            described = core.read_model(file)
            if described.has_rt_info(mark) and (only := described.get_rt_info(mark).value) != registry.name_of(self):
                raise ModelError("models.graph-only", path=file, allowed=only)
            compiled = core.compile_model(described, "CPU", how)
        except RuntimeError as error:
            raise ModelError("models.graph-broken", path=file, reason=str(error)) from error
        inputs = {
            value.get_any_name(): [None if size.is_dynamic else size.get_length() for size in value.get_partial_shape()]
            for value in compiled.inputs
        }
        outputs = [value.get_any_name() for value in compiled.outputs]
        request = compiled.create_infer_request()

        def run(given: Any) -> list[Any]:
            request.infer(dict(given))
            return [request.get_output_tensor(place).data.copy() for place in range(len(outputs))]

        return inputs, outputs, run
