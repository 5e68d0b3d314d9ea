"""An ONNX graph whose products are worked out in integers, row by row.

A weight (K, N) becomes one integer a value and one scale a column; each row (token) that is multiplied with it gets a scale of
its own when it comes by. So no row's answer hangs on its neighbours in a batch, as it does where one scale serves all of them.
Weights take seven bits: pairs of eight-bit products overflow sixteen bits on CPUs without VNNI, and answers would differ by CPU.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

SEVEN, EIGHT = 63, 127  # the largest integer of a weight that is multiplied, and of one that is only looked up
ZERO = 128  # what stands for 0 among the unsigned bytes of a row
TINY = 1e-12
SMALLEST = 4096  # values of a weight that is worth it
AXES, FLOOR, STEP, ZERO_FLOAT, ZERO_BYTE = (f"jishi.{name}" for name in ("axes", "floor", "step", "zero", "zero_byte"))


@dataclass
class Rewrite:
    """The nodes and weights of the new graph, as they are made; `turned` names weights that are used turned over (N, K)."""

    weights: Mapping[str, numpy.ndarray]
    turned: Mapping[str, str] = field(default_factory=dict)
    nodes: list[NodeProto] = field(default_factory=list)
    made: dict[str, numpy.ndarray] = field(default_factory=dict)
    rows: dict[str, tuple[str, str]] = field(default_factory=dict)  # what is multiplied → its integers, its scales
    tables: set[str] = field(default_factory=set)  # what is looked up

    def add(self, kind: str, given: Sequence[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(given), [name], **attributes))
        return name

    def weight(self, name: str, axis: int, largest: int) -> tuple[str, str]:
        """The integers and the scales of a weight, one scale for everything along `axis`."""
        names = f"{name}.integers", f"{name}.scale"
        if names[0] not in self.made:
            value = self.weights[name]
            scale = numpy.maximum(numpy.abs(value).max(axis, keepdims=True), TINY) / largest
            self.made |= {
                names[0]: numpy.round(value / scale).astype(numpy.int8),
                names[1]: scale.astype(numpy.float32),
            }
        return names

    def columns(self, name: str) -> tuple[str, str]:
        """The integers (K, N) and the scales (N) of a weight that is multiplied; of a table that is looked up as well (the
        output layer of many models) one set of integers serves both."""
        if name not in self.turned:
            return self.weight(name, 0, SEVEN)
        values, scales = self.weight(self.turned[name], -1, SEVEN)
        if f"{name}.columns" not in self.rows:
            self.rows[f"{name}.columns"] = (
                self.add("Transpose", [values], f"{name}.integers", perm=[1, 0]),
                self.add("Transpose", [scales], f"{name}.scale", perm=[1, 0]),
            )
        return self.rows[f"{name}.columns"]

    def quantised(self, name: str) -> tuple[str, str]:
        """The bytes and the scales of rows that are multiplied, worked out once however many weights they meet."""
        if name not in self.rows:
            size = self.add("ReduceMax", [self.add("Abs", [name], f"{name}.abs"), AXES], f"{name}.max", keepdims=1)
            scale = self.add("Mul", [self.add("Max", [size, FLOOR], f"{name}.size"), STEP], f"{name}.scale")
            steps = self.add("Round", [self.add("Div", [name, scale], f"{name}.steps")], f"{name}.round")
            lifted = self.add("Add", [steps, ZERO_FLOAT], f"{name}.lifted")
            self.rows[name] = self.add("Cast", [lifted], f"{name}.bytes", to=TensorProto.UINT8), scale
        return self.rows[name]

    def product(self, rows: str, weight: str, out: str) -> str:
        """Rows times a weight in integers, each sum brought back by the scales of its row and its column."""
        (given, sizes), (values, scales) = self.quantised(rows), self.columns(weight)
        product = self.add("MatMulInteger", [given, values, ZERO_BYTE], f"{out}.integers")
        sized = self.add(
            "Mul", [self.add("Cast", [product], f"{out}.float", to=TensorProto.FLOAT), sizes], f"{out}.sized"
        )
        return self.add("Mul", [sized, scales], out)


def integers(model: ModelProto, start: Callable[..., Rewrite] = Rewrite) -> ModelProto:
    """The model with its products in integers (in place), or as what `start` makes writes them; tables that are looked up and
    kernels shrink as well."""
    graph = model.graph
    weights = {one.name: numpy_helper.to_array(one) for one in graph.initializer if _worth_it(one)}
    new = start(weights, _turned(graph, weights))
    new.tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    for node in graph.node:
        if node.output[0] not in new.turned:
            _widen(new, node, _place(node, new))
    used = {name for node in new.nodes for name in node.input} | {value.name for value in graph.output}
    kept = [one for one in graph.initializer if one.name in used]
    del (
        graph.node[:],
        graph.initializer[:],
        graph.value_info[:],
    )  # what the exporter knew of types and shapes holds no more
    graph.node.extend(new.nodes)
    graph.initializer.extend([*kept, *(numpy_helper.from_array(value, name) for name, value in _made(new, used))])
    return model


def _turned(graph: GraphProto, weights: Mapping[str, numpy.ndarray]) -> dict[str, str]:
    """Weights that are turned over to be multiplied, and for nothing else."""
    found = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Transpose" and node.input[0] in weights and weights[node.input[0]].ndim == 2
    }
    others = {name for node in graph.node for name in node.input if node.op_type != "MatMul" or name != node.input[1]}
    return {turned: name for turned, name in found.items() if turned not in others}


def _made(new: Rewrite, used: set[str]) -> Iterator[tuple[str, numpy.ndarray]]:
    constants = {
        AXES: numpy.array([-1], numpy.int64), FLOOR: numpy.array(TINY, numpy.float32),
        STEP: numpy.array(1 / EIGHT, numpy.float32), ZERO_FLOAT: numpy.array(ZERO, numpy.float32),
        ZERO_BYTE: numpy.array(ZERO, numpy.uint8),
    }  # fmt: skip
    return ((name, value) for name, value in {**new.made, **constants}.items() if name in used)


def _worth_it(one: TensorProto) -> bool:
    return one.data_type == TensorProto.FLOAT and len(one.dims) > 1 and int(numpy.prod(one.dims)) >= SMALLEST


def _place(node: NodeProto, new: Rewrite) -> str | None:
    """The weight of a node, where it stands in the place that its kind has for one."""
    places = {"MatMul": 1, "Gemm": 1, "Gather": 0, "Conv": 1}
    name = node.input[places[node.op_type]] if node.op_type in places else None
    if node.op_type == "MatMul" and name in new.turned:
        return name
    if name not in new.weights or (node.op_type == "MatMul" and new.weights[name].ndim > 2):
        return None
    if node.op_type == "Gemm" and any(
        one.name != "transB" and one.f != 1 for one in node.attribute
    ):  # a sum alone is wanted
        return None
    return name


def _widen(new: Rewrite, node: NodeProto, weight: str | None) -> None:
    """The nodes that come in the place of one: products in integers, what is looked up or convolved widened again."""
    if weight is None:
        new.nodes.append(node)
        return
    out = node.output[0]
    if node.op_type == "MatMul":
        new.product(node.input[0], weight, out)
    elif node.op_type == "Gemm":
        _summed(new, node, weight)
    elif node.op_type == "Gather":
        values, scales = new.weight(weight, -1, SEVEN if weight in new.turned.values() else EIGHT)
        found, size = (new.add("Gather", [name, node.input[1]], f"{out}.{name}") for name in (values, scales))
        new.add("Mul", [new.add("Cast", [found], f"{out}.float", to=TensorProto.FLOAT), size], out)
    else:
        _convolved(new, node, weight)


def _summed(new: Rewrite, node: NodeProto, weight: str) -> None:
    """A product with a sum after it; where the weight is to be turned over, its integers are kept so."""
    out, bias = node.output[0], list(node.input[2:])
    if any(one.name == "transB" and one.i for one in node.attribute):
        new.turned = {**new.turned, f"{weight}.turned": weight}
        weight = f"{weight}.turned"
    product = new.product(node.input[0], weight, f"{out}.product" if bias else out)
    if bias:
        new.add("Add", [product, *bias], out)


def _convolved(new: Rewrite, node: NodeProto, weight: str) -> None:
    """A kernel kept in integers and widened before it is used."""
    out, axes = node.output[0], tuple(range(1, new.weights[weight].ndim))
    values, scales = new.weight(weight, axes, EIGHT)  # type: ignore[arg-type]
    wide = new.add("Mul", [new.add("Cast", [values], f"{out}.wide", to=TensorProto.FLOAT), scales], f"{out}.kernel")
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[1] = wide
    new.nodes.append(copy)
