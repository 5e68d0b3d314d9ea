"""ONNX graphs of a few nodes, made by hand and worked out by ONNX Runtime."""

import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from jishi.core import bundle, registry, spec
from jishi.core.contracts import Task
from jishi.models import graph, load
from jishi.predictor import Predictor


def model(nodes, weights, given, kind=TensorProto.FLOAT):
    """From "x" of that shape to "y"; `weights` are pairs of array and name."""
    inputs = [helper.make_tensor_value_info("x", kind, given)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    made = helper.make_graph(nodes, "tried", inputs, outputs, [numpy_helper.from_array(*one) for one in weights])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def tied(table, kind=TensorProto.INT64):
    """A table that is looked up and, turned over, multiplied: as the output layer of many models is."""
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["found"]),
        helper.make_node("Transpose", ["table"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["found", "turned"], ["y"]),
    ]
    return model(nodes, [(table, "table")], [None], kind)


def run(made, x):
    return onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": x})[0]


def bundled(out, name, rows, design, **options):
    """The bundle of an untrained model's graph, and what answers by the model itself."""
    task = registry.get(Task, name)(**options)
    rows = [task.parse(row) for row in rows]
    base = load.base(design)
    processor, task = load.processor(design, rows), task.initialize(rows, base)
    torch.manual_seed(0)
    weights = Predictor(load.model(design, task.head(), base, processor), task, processor, {})
    made = graph.Exported(weights.model.config, graph.of(weights, rows))
    record = {"task": spec.dump(task)}
    bundle.write(out, model=made, processor=processor, record=record, probes=weights.probe(rows), card="")
    return weights
