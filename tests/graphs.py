"""ONNX graphs of a few nodes, made by hand and worked out by ONNX Runtime."""

import onnxruntime
from onnx import TensorProto, helper, numpy_helper


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
