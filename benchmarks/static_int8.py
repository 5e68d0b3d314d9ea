"""Scales fixed beforehand on training rows (static quantisation, ONNX Runtime's) beside `int8`, which finds them row by row.

    python benchmarks/static_int8.py "runs/compression/sick-minilm-all weights tuned/bundle"

The bundle is one of weights with the rows of its run beside it; every fourth row that judges is asked. One thread.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static

from jishi.compression._integers import integers
from jishi.data.spec import DataSpec
from jishi.lifecycle.judged import judged
from jishi.models import graph
from jishi.models.folder import GRAPH
from jishi.predictor import Predictor

ROWS, ASKED, ROUNDS = 128, 24, 6  # that fit the scales; that are timed alone, so often each
METHODS = {"min and max": CalibrationMethod.MinMax, "percentiles": CalibrationMethod.Percentile}


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """The rows that fit the scales, as one batch."""

    def __init__(self, batch: Mapping[str, numpy.ndarray]) -> None:
        self.batches: Iterator[Mapping[str, numpy.ndarray]] = iter([batch])

    def get_next(self) -> Mapping[str, numpy.ndarray] | None:
        return next(self.batches, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    path = parser.parse_args().bundle
    first = Predictor.load(path)
    with tempfile.TemporaryDirectory() as folder:
        rows = judged(DataSpec(str(path.parent / "data")), first.task, Path(folder) / "data")
        learnt = [rows.train[place * len(rows.train) // ROWS] for place in range(ROWS)]
        asked = [rows.rows[place] for place in range(0, len(rows.rows), 4)]
        files = made(first, learnt, Path(folder))
        sessions = {name: session(file) for name, file in files.items()}
    alone = [inputs(first, [row], sessions["fp32"]) for row in asked[:ASKED]]
    pace: dict[str, list[list[float]]] = {name: [] for name in sessions}
    for _ in range(ROUNDS):
        for name, one in sessions.items():
            pace[name].append([seconds(one, batch) for batch in alone])
    known = logits(first, asked, sessions["fp32"])
    for name, one in sessions.items():
        said = logits(first, asked, one)
        changed, apart = int((said.argmax(1) != known.argmax(1)).sum()), float(((said - known) ** 2).mean() ** 0.5)
        right = statistics.mean(
            first.task.labels[place] == row["label"] for place, row in zip(said.argmax(1), asked, strict=True)
        )
        milliseconds = 1000 * statistics.median(map(min, zip(*pace[name], strict=True)))
        print(f"{name}: {milliseconds:.1f} ms, {right:.4f} right, {changed} of {len(asked)} change, {apart:.2f} off")


def made(first: Predictor, learnt: Sequence[Any], folder: Path) -> dict[str, Path]:
    """The files of the graph in fp32, in our integers, and with fixed scales."""
    whole = onnx.load_model_from_string(graph.content(first.task, first.model, first.processor, learnt)[GRAPH])
    del whole.graph.value_info[:]
    files = {name: folder / f"{name}.onnx" for name in ("fp32", *METHODS, "int8")}
    onnx.save(whole, files["fp32"])
    batch = inputs(first, learnt, session(files["fp32"]))
    for name, method in METHODS.items():
        quantize_static(
            files["fp32"], files[name], Reader(batch), per_channel=True, reduce_range=True, calibrate_method=method,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm", "Gather"],
        )  # fmt: skip
    onnx.save(integers(whole), files["int8"])
    return files


def session(file: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def inputs(first: Predictor, rows: Sequence[Any], one: Any) -> dict[str, numpy.ndarray]:
    batch = first.task.collate([first.task.encode(row, first.processor) for row in rows], first.processor)
    return {value.name: numpy.asarray(batch[value.name]) for value in one.get_inputs()}


def seconds(one: Any, batch: Mapping[str, numpy.ndarray]) -> float:
    clock = time.perf_counter()
    one.run(None, batch)
    return time.perf_counter() - clock


def logits(first: Predictor, rows: Sequence[Any], one: Any) -> numpy.ndarray:
    """Of each row, asked alone."""
    return numpy.concatenate([one.run(None, inputs(first, [row], one))[0] for row in rows])


if __name__ == "__main__":
    main()
