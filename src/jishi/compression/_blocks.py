"""An ONNX graph whose weights are in four bits, with a scale for each block of a column (ONNX Runtime's MatMulNBits).

A weight (K, N) is cut into blocks of B values down each column; a value is (code - zero) * scale, code and zero of 0 … 15. Each
block takes that of several grids which misses it least. The operator rounds what it multiplies to eight bits, with a scale for
each block of a row, so that rows don't touch each other; on CPUs without a kernel for that it computes in fp32.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy
from onnx import ModelProto, helper

from jishi.compression._integers import Rewrite, integers
from jishi.models import graph_model

DOMAIN = "com.microsoft"
MOST, MIDDLE = 15, 8  # the largest code, and the zero of a grid that is as long on both sides
SHRUNK = (1.0, 0.9, 0.8)  # of the range: what lies outside is cut off, and what is inside has finer steps
IN_EIGHT_BITS = 4  # `accuracy_level`: that of what is multiplied


@dataclass
class Blocks(Rewrite):
    """The new graph with its products in blocks of `block` values."""

    block: int = 32

    def product(self, rows: str, weight: str, out: str) -> str:
        source = self.turned.get(weight, weight)
        if source in self.tables:
            return super().product(rows, weight, out)  # kept once, in the eight bits in which it is looked up
        columns = self.weights[source] if weight in self.turned else self.weights[source].T
        names = [f"{weight}.{name}" for name in ("codes", "scales", "zeros")]
        if names[0] not in self.made:
            self.made |= dict(zip(names, packed(columns, self.block), strict=True))
        size = {"K": columns.shape[1], "N": columns.shape[0], "bits": 4, "block_size": self.block}
        return self.add("MatMulNBits", [rows, *names], out, domain=DOMAIN, accuracy_level=IN_EIGHT_BITS, **size)


def blocks(model: ModelProto, block: int) -> ModelProto:
    """The model with its products in blocks (in place); tables that are looked up and kernels are in eight bits."""
    made = integers(model, partial(Blocks, block=block))
    made.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    # others don't round what is multiplied, and answer otherwise than was recorded
    helper.set_model_props(made, {graph_model.ONLY: "onnxruntime"})
    return made


def packed(columns: numpy.ndarray, block: int) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Codes (N, blocks, B / 2), scales (N, blocks) and zeros (N, blocks / 2) of columns (N, K); two codes, or zeros, a byte, the
    first in its lower half. A last block that is short is filled with zeros."""
    count, length = columns.shape
    values = numpy.pad(columns, ((0, 0), (0, -length % block))).reshape(count, -1, block)
    best = numpy.full(values.shape[:2], numpy.inf, numpy.float32)
    codes, scales = numpy.zeros(values.shape, numpy.uint8), numpy.ones(values.shape[:2], numpy.float32)
    zeros = numpy.full(values.shape[:2], MIDDLE, numpy.uint8)
    for scale, zero in _grids(values):
        tried = numpy.clip(numpy.rint(values / scale[..., None]) + zero[..., None], 0, MOST)
        missed = (((tried - zero[..., None]) * scale[..., None] - values) ** 2).sum(-1)
        better = missed < best
        best[better], codes[better] = missed[better], tried[better].astype(numpy.uint8)
        scales[better], zeros[better] = scale[better], zero[better].astype(numpy.uint8)
    return _paired(codes), scales, _paired(numpy.pad(zeros, ((0, 0), (0, zeros.shape[1] % 2))))


def _grids(values: numpy.ndarray) -> Iterator[tuple[numpy.ndarray, numpy.ndarray]]:
    """Scales and zeros to be tried for each block: the farthest value at the long end of an even grid, or both ends at ends."""
    place = numpy.abs(values).argmax(-1)[..., None]
    farthest = numpy.take_along_axis(values, place, -1)[..., 0]
    low, high = numpy.minimum(values.min(-1), 0), numpy.maximum(values.max(-1), 0)
    for share in SHRUNK:
        even = -share * farthest / MIDDLE
        yield numpy.where(even == 0, 1, even).astype(numpy.float32), numpy.full(even.shape, MIDDLE, numpy.float32)
        whole = share * (high - low) / MOST
        whole = numpy.where(whole == 0, 1, whole).astype(numpy.float32)
        yield whole, numpy.clip(numpy.rint(-share * low / whole), 0, MOST).astype(numpy.float32)


def _paired(codes: numpy.ndarray) -> numpy.ndarray:
    return codes[..., ::2] | codes[..., 1::2] << 4  # type: ignore[no-any-return]
