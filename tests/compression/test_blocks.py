"""Products in blocks of four bits, held to codes, scales and zeros taken apart by hand in numpy."""

import numpy
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from graphs import model, run, tied  # noqa: E402
from jishi.compression._blocks import blocks, packed  # noqa: E402

RNG = numpy.random.default_rng(0)
WEIGHT = RNG.normal(size=(72, 80)).astype(numpy.float32)  # four blocks of 16 and half a one


def product(weight=WEIGHT, block=16):
    return blocks(model([helper.make_node("MatMul", ["x", "w"], ["y"])], [(weight, "w")], [None, len(weight)]), block)


def apart(pairs):
    """The lower halves of bytes, then the upper, in turn."""
    return numpy.stack([pairs % 16, pairs // 16], -1).reshape(*pairs.shape[:-1], -1)


def unpacked(weight, block):
    """A weight (K, N) as it is kept: (code - zero) * scale."""
    codes, scales, zeros = packed(weight.T, block)
    zeros = apart(zeros)[:, : scales.shape[1], None].astype(int)
    values = (apart(codes).astype(int) - zeros) * scales[..., None]
    return values.reshape(len(codes), -1)[:, : len(weight)].T


def in_eight_bits(x, block):
    """What is multiplied, as the operator rounds it: 127 steps to the largest value of each block of a row."""
    parts = numpy.pad(x, ((0, 0), (0, -x.shape[1] % block))).reshape(len(x), -1, block)
    steps = numpy.abs(parts).max(-1, keepdims=True) / 127
    return (numpy.rint(parts / steps) * steps).reshape(len(x), -1)[:, : x.shape[1]]


def test_values_on_a_grid_are_kept_exactly_two_to_a_byte_the_first_below():
    even = numpy.array([[-8, 7, 0, 1, 2, 3, -3, -1, *[0] * 8]], numpy.float32)  # codes are values + 8, the scale 1
    codes, scales, zeros = packed(even * 0.5, 16)
    assert codes[0, 0].tolist() == [0xF0, 0x98, 0xBA, 0x75, 0x88, 0x88, 0x88, 0x88]
    assert scales.tolist() == [[0.5]] and zeros.tolist() == [[0x08]]
    above = numpy.array([[*range(16)]], numpy.float32)  # no value below 0: all sixteen codes stand above it
    codes, scales, zeros = packed(above, 16)
    assert codes[0, 0].tolist() == [0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE]
    assert scales.tolist() == [[1]] and zeros.tolist() == [[0]]


def test_no_value_is_missed_by_more_than_the_plain_grid_would_miss_its_block():
    missed = ((unpacked(WEIGHT, 16) - WEIGHT) ** 2)[:64].reshape(4, 16, 80).sum(1)
    step = numpy.abs(WEIGHT[:64]).reshape(4, 16, 80).max(1) / 7
    plain = numpy.rint(WEIGHT[:64].reshape(4, 16, 80) / step[:, None]) * step[:, None]
    least = ((plain - WEIGHT[:64].reshape(4, 16, 80)) ** 2).sum(1)
    assert missed.mean() < 0.8 * least.mean() and (missed <= 16 * (step / 2) ** 2 * (8 / 7) ** 2).all()


@pytest.mark.parametrize("block", [16, 32])
def test_a_product_is_that_of_the_codes_brought_back_to_scale(block):
    x = RNG.normal(size=(5, 72)).astype(numpy.float32)
    by_hand = in_eight_bits(x, block) @ unpacked(WEIGHT, block)
    assert numpy.allclose(run(product(block=block), x), by_hand, rtol=1e-4, atol=1e-4)
    assert numpy.abs(by_hand - x @ WEIGHT).max() < 4  # values of the product are about 8


def test_a_row_does_not_hang_on_what_it_is_asked_with():
    x = RNG.normal(size=(4, 72)).astype(numpy.float32)
    loud = numpy.concatenate([x, 1000 * x])
    assert numpy.allclose(run(product(), loud)[:4], run(product(), x), rtol=1e-5, atol=1e-5)
    assert numpy.allclose(run(product(), x[:1]), run(product(), x)[:1], rtol=1e-5, atol=1e-5)


def test_a_weight_takes_a_sixth_of_its_bytes_and_one_of_zeros_is_zero():
    held = product(numpy.zeros((1024, 80), numpy.float32), block=32)
    assert sum(numpy_helper.to_array(one).nbytes for one in held.graph.initializer) < 1024 * 80 * 4 / 6
    assert not run(held, numpy.ones((2, 1024), numpy.float32)).any()


@pytest.mark.parametrize("turned", [0, 1])
def test_a_product_with_a_bias_is_that_of_the_codes_and_the_bias(turned):
    x, bias = RNG.normal(size=(5, 72)).astype(numpy.float32), RNG.normal(size=80).astype(numpy.float32)
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=turned)
    weight = WEIGHT.T.copy() if turned else WEIGHT
    made = blocks(model([node], [(weight, "w"), (bias, "b")], [None, 72]), 16)
    assert [one.op_type for one in made.graph.node] == ["MatMulNBits", "Add"]
    by_hand = in_eight_bits(x, 16) @ unpacked(WEIGHT, 16) + bias
    assert numpy.allclose(run(made, x), by_hand, rtol=1e-4, atol=1e-4)


def test_a_table_that_is_looked_up_and_multiplied_is_kept_once_in_eight_bits():
    table = RNG.normal(size=(80, 64)).astype(numpy.float32)
    made = blocks(tied(table), 16)
    kinds = {one.data_type for one in made.graph.initializer if len(one.dims) == 2 and one.dims[1] > 1}
    assert kinds == {TensorProto.INT8}
    said = run(made, numpy.array([3, 79, 0], numpy.int64))
    assert (
        numpy.abs(said - table[[3, 79, 0]] @ table.T).max() < 1.5
    )  # values are about 8, and 64 where a row meets itself
