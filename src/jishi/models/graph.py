"""A model as an ONNX graph: exported from torch, kept in a bundle as `model.onnx` in the place of its weights, asked as before.

The graph holds what the task asks of the model, no more: the inputs that it passes, and the outputs of that call. Sizes that
hang on the rows (how many, how long) stay free. Of a decoder that writes it holds one step, see `memory`; what an encoder reads
for it is a graph of its own, see `reading`.
"""

import contextlib
import inspect
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from jishi.core import registry
from jishi.core.contracts import Modality, Row, Task
from jishi.core.errors import MissingExtra, ModelError
from jishi.models import memory, reading
from jishi.models.cross_entropy import whole
from jishi.models.folder import GRAPH as FILE
from jishi.models.folder import READER
from jishi.models.graph_model import EXTRA, Graph

SHORT, LONG = 2, 3  # rows of the two batches that tell which sizes are free
LETTERS = 3  # of a text that is cut short
LARGEST = 2**31 - 1  # bytes of one file that holds graph and weights (protobuf)


@dataclass(frozen=True)
class Exported:
    """Graphs that are to be saved, by the names of their files, with the configuration of their model."""

    config: Any
    content: Mapping[str, bytes]

    def save_pretrained(self, folder: Path, **options: Any) -> None:  # noqa: ARG002
        """Write all into a folder, as transformers' method of that name does with a model."""
        self.config.save_pretrained(folder)
        for name, made in self.content.items():
            (folder / name).write_bytes(made)


def of(predictor: Any, rows: Sequence[Row]) -> Mapping[str, bytes]:
    """The graphs that a predictor's bundle holds, or those made of its model."""
    if isinstance(predictor.model, Graph):
        files = [predictor.path / name for name in (FILE, READER)]
        return {file.name: file.read_bytes() for file in files if file.is_file()}
    return content(predictor.task, predictor.model, predictor.processor, rows)


def content(task: Task, model: Any, processor: Any, rows: Sequence[Row]) -> Mapping[str, bytes]:
    """The graphs of a model for a task, in fp32, as the bytes of their files; `rows` are some to try it on.

    Raises ModelError where the task writes its answers with a model that keeps more than keys and values, where an operator has
    no counterpart, or where a graph is too large.
    """
    ask = (task, model.eval(), processor, rows)
    if not task.generates:
        return {FILE: _exported(_whole(*ask))}
    if not model.config.is_encoder_decoder:
        return {FILE: _exported(_step(*ask))}
    with reading.written_out(model):
        return {name: _exported(traced) for name, traced in _reading(*ask).items()}


def _exported(traced: "_Traced") -> bytes:
    with quiet(), tempfile.TemporaryDirectory() as folder:
        try:
            program = torch.onnx.export(
                traced.module, tuple(traced.inputs.values()), dynamo=True, dynamic_shapes=(tuple(traced.free),),
                input_names=list(traced.inputs), output_names=list(traced.outputs), verbose=False,
            )  # fmt: skip
        except ModuleNotFoundError as missing:
            raise MissingExtra(str(missing.name), EXTRA) from missing
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            raise ModelError("models.graph-fails", reason=_reason(error)) from error
        file = Path(folder) / FILE
        program.save(file)
        if (
            len(list(Path(folder).iterdir())) > 1 or file.stat().st_size > LARGEST
        ):  # weights beside it: more than one file holds
            raise ModelError("models.graph-too-large", allowed=LARGEST)
        return file.read_bytes()


@dataclass(frozen=True)
class _Traced:
    """What the exporter follows: a module, tensors to try it on with the sizes that are free, and what it tells."""

    module: nn.Module
    inputs: Mapping[str, torch.Tensor]
    free: Sequence[Mapping[int, Any]]
    outputs: Sequence[str]


def _whole(task: Task, model: Any, processor: Any, rows: Sequence[Row]) -> _Traced:
    """A model that answers in one call."""
    calls = [_call(task, model, processor, some) for some in _batches(task, rows)]
    names, last = list(calls[0].inputs), calls[1]
    free = [
        {
            axis: torch.export.Dim.DYNAMIC
            for axis, sizes in enumerate(zip(*(call.inputs[name].shape for call in calls), strict=True))
            if len(set(sizes)) > 1
        }
        for name in names
    ]
    return _Traced(_Bare(model, names, last.fixed, last.outputs), last.inputs, free, last.outputs)


def _step(task: Task, model: Any, processor: Any, rows: Sequence[Row]) -> _Traced:
    """A decoder that writes, one step of it. Raises ModelError where the model keeps more than keys and values."""
    read = _asked(task, model, processor, rows)
    with torch.no_grad():
        past = memory.kept(model, read)
    if past is None:
        raise _other(task, model)
    inputs = memory.step(read, past)
    module = memory.Step(model, list(inputs), "logits_to_keep" in inspect.signature(whole(model).forward).parameters)
    return _free(module, inputs, ["logits", *memory.numbered(memory.PRESENT, past)])


def _reading(task: Task, model: Any, processor: Any, rows: Sequence[Row]) -> dict[str, _Traced]:
    """An encoder with what the decoder keeps of it, and one step of that. Raises ModelError as `_step` does."""
    read = reading.begun(_asked(task, model, processor, rows))
    with torch.no_grad():
        found = reading.kept(model, read)
    if found is None:
        raise _other(task, model)
    past, heard = found
    inputs = reading.step(read, past, heard)
    text = {name: read[name] for name in ("input_ids", "attention_mask")}
    step = reading.Step(model, list(inputs), takes_places=False)
    return {
        READER: _free(reading.Reader(model), text, list(memory.numbered(memory.READ, heard))),
        FILE: _free(step, inputs, ["logits", *memory.numbered(memory.PRESENT, past)]),
    }


def _asked(task: Task, model: Any, processor: Any, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """What the model is given first where it writes."""
    heard = _call(task, model, processor, list(_batches(task, rows))[1]).inputs
    with torch.no_grad():
        return {name: value.clone() for name, value in heard.items()}  # of no inference mode any more


def _free(module: nn.Module, inputs: Mapping[str, torch.Tensor], outputs: Sequence[str]) -> _Traced:
    return _Traced(module, inputs, [memory.free(name) for name in inputs], outputs)


def _other(task: Task, model: Any) -> ModelError:
    return ModelError("models.graph-writes", task=registry.name_of(task), kind=type(whole(model)).__name__)


@dataclass(frozen=True)
class _Call:
    """What a task passes its model, tensors and what is fixed, and the names of the tensors it is told."""

    inputs: Mapping[str, torch.Tensor]
    fixed: Mapping[str, Any]
    outputs: Sequence[str]


class _Bare(nn.Module):
    """The model from tensors to tensors."""

    def __init__(
        self, model: nn.Module, names: Sequence[str], fixed: Mapping[str, Any], outputs: Sequence[str]
    ) -> None:
        super().__init__()
        self.model, self.names, self.fixed, self.outputs = model, names, fixed, outputs

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        said = self.model(**dict(zip(self.names, values, strict=True)), **self.fixed)
        return tuple(said[name] for name in self.outputs)


def _call(task: Task, model: Any, processor: Any, rows: Sequence[Row]) -> _Call:
    """The first call of the model when the task answers the rows."""
    seen: list[_Call] = []

    def hear(_: Any, __: Any, given: Mapping[str, Any], said: Any) -> None:
        tensors = {name: value for name, value in given.items() if isinstance(value, torch.Tensor)}
        fixed = {name: value for name, value in given.items() if name not in tensors}
        seen.append(_Call(tensors, fixed, [name for name, value in said.items() if isinstance(value, torch.Tensor)]))
        raise _Heard

    hook = model.eval().register_forward_hook(hear, with_kwargs=True)
    try:
        with torch.no_grad(), contextlib.suppress(_Heard):  # tensors of inference mode can't be exported
            task.forward(model, task.collate([task.encode(row, processor) for row in rows], processor))
    finally:
        hook.remove()
    return seen[0]


class _Heard(Exception):
    """Nothing more need be asked: to write a whole answer is dear."""


def _batches(task: Task, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Two batches that differ in every size that can: few rows, the beginnings of their texts, and more, texts twice."""
    texts = [name for name, kind in task.columns.items() if not registry.get(Modality, kind.rstrip("?")).binary]
    for count, change in ((SHORT, _begun), (LONG, _doubled)):
        some = [rows[place % len(rows)] for place in range(count)]
        yield [{**row, **{name: change(row[name]) for name in texts if row.get(name)}} for row in some]


def _begun(value: Any) -> Any:
    return value.strip()[:LETTERS] or value if isinstance(value, str) else value


def _doubled(value: Any) -> Any:
    return f"{value} {value}" if isinstance(value, str) else value


def _reason(error: BaseException) -> str:
    """The innermost reason, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the remarks of exporters and quantisers on libraries that are not there and steps that are not needed."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
