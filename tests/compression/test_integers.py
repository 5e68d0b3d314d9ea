"""Products in integers, held to the same products worked out by hand in numpy."""

import numpy
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from graphs import model, run, tied  # noqa: E402
from jishi.compression._integers import integers  # noqa: E402

RNG = numpy.random.default_rng(0)
WEIGHT = RNG.normal(size=(64, 80)).astype(numpy.float32)


def product(weight=WEIGHT):
    return integers(model([helper.make_node("MatMul", ["x", "w"], ["y"])], [(weight, "w")], [None, 64]))


def by_hand(x, weight):
    """Each row and each column divided by its largest value, in 127 and 63 steps; whole numbers multiplied; brought back."""
    rows = numpy.abs(x).max(1, keepdims=True) / 127
    columns = numpy.abs(weight).max(0, keepdims=True) / 63
    return (numpy.rint(x / rows).astype(int) @ numpy.rint(weight / columns).astype(int)) * rows * columns


def test_a_product_is_that_of_whole_numbers_brought_back_to_scale():
    x = RNG.normal(size=(5, 64)).astype(numpy.float32)
    assert numpy.allclose(run(product(), x), by_hand(x, WEIGHT), rtol=1e-4, atol=1e-4)
    assert numpy.abs(run(product(), x) - x @ WEIGHT).max() < 0.6  # values of the product are about 8


def test_a_row_does_not_hang_on_what_it_is_asked_with():
    x = RNG.normal(size=(4, 64)).astype(numpy.float32)
    loud = numpy.concatenate([x, 1000 * x])
    assert numpy.array_equal(run(product(), loud)[:4], run(product(), x))


def test_a_row_of_zeros_is_zero():
    assert not run(product(), numpy.zeros((2, 64), numpy.float32)).any()


def test_weights_are_seven_bits_so_that_no_pair_of_products_overflows():
    held = {one.name: numpy_helper.to_array(one) for one in product().graph.initializer}
    whole = next(value for value in held.values() if value.dtype == numpy.int8)
    assert int(numpy.abs(whole.astype(int)).max()) * 255 * 2 < 2**15
    assert sum(value.nbytes for value in held.values()) < WEIGHT.nbytes / 3


def test_one_input_of_several_products_is_quantised_once():
    nodes = [helper.make_node("MatMul", ["x", name], [f"y{name}"]) for name in "ab"]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 64])]
    outputs = [helper.make_tensor_value_info(f"y{name}", TensorProto.FLOAT, None) for name in "ab"]
    weights = [numpy_helper.from_array(WEIGHT, name) for name in "ab"]
    made = integers(helper.make_model(helper.make_graph(nodes, "two", inputs, outputs, weights)))
    assert [node.op_type for node in made.graph.node].count("Round") == 1


def test_a_table_that_is_looked_up_is_kept_within_half_a_step():
    table = RNG.normal(size=(100, 64)).astype(numpy.float32)
    made = integers(model([helper.make_node("Gather", ["w", "x"], ["y"])], [(table, "w")], [None], TensorProto.INT64))
    found = run(made, numpy.array([3, 99]))
    steps = numpy.abs(table[[3, 99]]).max(1, keepdims=True) / 127
    assert (numpy.abs(found - table[[3, 99]]) <= steps / 2 + 1e-6).all()
    assert len(made.SerializeToString()) < table.nbytes / 2


def test_a_kernel_is_kept_within_half_a_step():
    kernel = RNG.normal(size=(32, 16, 3, 3)).astype(numpy.float32)
    made = integers(model([helper.make_node("Conv", ["x", "w"], ["y"])], [(kernel, "w")], [None, 16, 3, 3]))
    x = numpy.zeros((1, 16, 3, 3), numpy.float32)
    x[0, 5, 1, 2] = 1  # picks one value of every kernel
    steps = numpy.abs(kernel).max((1, 2, 3)) / 127
    assert (numpy.abs(run(made, x)[0, :, 0, 0] - kernel[:, 5, 1, 2]) <= steps / 2 + 1e-6).all()


def test_small_weights_and_products_of_two_inputs_stay_as_they_are():
    small = WEIGHT[:, :8]
    assert [node.op_type for node in product(small).graph.node] == ["MatMul"]


def test_a_table_that_is_looked_up_and_multiplied_is_kept_once():
    """As the output layer of many models is the table of their embeddings, turned over."""
    table = RNG.normal(size=(80, 64)).astype(numpy.float32)
    made = integers(tied(table))
    assert sum(numpy_helper.to_array(one).nbytes for one in made.graph.initializer) < table.nbytes / 3
    asked = numpy.array([3, 79, 0], numpy.int64)
    said = run(made, asked)
    scale = numpy.abs(table).max(1, keepdims=True) / 63
    found = (numpy.rint(table / scale) * scale)[asked]
    assert numpy.allclose(said, by_hand(found, table.T), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("turned", [0, 1])
def test_a_product_with_a_bias_is_that_of_whole_numbers_and_the_bias(turned):
    x, bias = RNG.normal(size=(5, 64)).astype(numpy.float32), RNG.normal(size=80).astype(numpy.float32)
    weight = WEIGHT.T.copy() if turned else WEIGHT
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=turned)
    made = integers(model([node], [(weight, "w"), (bias, "b")], [None, 64]))
    assert any(one.op_type == "MatMulInteger" for one in made.graph.node)
    assert numpy.allclose(run(made, x), by_hand(x, WEIGHT) + bias, rtol=1e-4, atol=1e-4)


def test_a_product_that_is_more_than_a_sum_stays_as_it_is():
    node = helper.make_node("Gemm", ["x", "w"], ["y"], alpha=0.5)
    made = integers(model([node], [(WEIGHT, "w")], [None, 64]))
    x = RNG.normal(size=(5, 64)).astype(numpy.float32)
    assert numpy.allclose(run(made, x), 0.5 * x @ WEIGHT, atol=1e-5)
