"""Answers a second and milliseconds an answer: a bundle as it was trained, as a graph and in integers, beside plain libraries.

    python benchmarks/inference.py                  MiniLM on banking77: short questions, and the same put together to paragraphs
    python benchmarks/inference.py --rounds 3
    python benchmarks/inference.py --docs           what is kept, into docs/en/compression.md and docs/zh/compression.md

One thread, one process, ways taken in turns, medians of the rounds. `transformers pipeline` is given the bundle's folder, as it
is; `sentence-transformers` the base of the same size, without the head. Agreement is the share of answers that are those of the
bundle as it was trained.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy
import record
import torch

import jishi
from jishi.core import manifest
from jishi.data.dataset import Dataset
from jishi.models.origin import locate
from jishi.models.spec import ModelSpec

ROOT = Path(__file__).parent.parent
NAME = "inference"
ROWS, LONG = 256, 8  # texts, and how many of them make a paragraph
BATCH = 32
METHODS = {"onnx": ["onnx"], "int8": ["int8"]}
HEADERS = {
    "en": "texts | way | bytes | one at a time, ms | 32 at a time, texts/s | beside pipeline | agreement",
    "zh": "文本 | 方式 | 大小 | 逐条，毫秒 | 每批 32 条，条/秒 | 相对 pipeline | 一致率",
}
COMPANY = {
    "en": "in integers by | a logit moves by up to | labels that change",
    "zh": "整数化方式 | logit 最大变化 | 标签改变",
}
KINDS = {"short": {"en": "questions", "zh": "短问题"}, "long": {"en": "paragraphs", "zh": "段落"}}

Ask = Callable[[Sequence[str]], Sequence[Any]]


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    if not options.docs:
        record.keep(NAME, run(options))
    print(table("en"), company("en"), sep="\n")
    if options.docs:
        record.into_docs("compression", table)
        record.into_docs("compression", company, "company", "end company")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def run(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = jishi.finetune(
            data={"train": str(options.data / "banking77"), "train_rows": 770}, out=str(folder / "run"), model="minilm",
            task={"name": "text-classification", "max_length": 256}, adapt="frozen", train={"epochs": 0, "fit_head": "before"},
        )  # fmt: skip
        bundles = {"torch": folder / "run" / "bundle"}
        parity = {}
        for way, method in METHODS.items():
            told = jishi.compress(made.bundle, method=method, out=folder / way)
            bundles[way] = folder / way
            parity[way] = told["hops"]
        texts = [row["text"] for row in Dataset.load(folder / "run" / "data").test.select(range(ROWS))]
        paragraphs = [" ".join(texts[place : place + LONG]) for place in range(0, ROWS, LONG)]
        asks = ways(bundles)
        company = neighbours(bundles, texts)
        sizes = {way: sum(file.stat().st_size for file in path.iterdir()) for way, path in bundles.items()}
        found = {kind: measure(asks, some, options.rounds) for kind, some in (("short", texts), ("long", paragraphs))}
    return {
        "texts": found,
        "company": company,
        "bytes": sizes,
        "parity": parity,
        "machine": record.machine(),
        "date": time.strftime("%Y-%m-%d"),
    }


def ways(bundles: dict[str, Path]) -> dict[str, Ask]:
    """What is asked, by name; the first is what the others are held to."""
    from sentence_transformers import SentenceTransformer
    from transformers import pipeline

    asks: dict[str, Ask] = {}
    for way, path in bundles.items():
        for runtime in ("torch",) if way == "torch" else ("onnxruntime", "openvino"):
            predictor = jishi.load(path, runtime=runtime)
            asks[f"jishi {way}, {runtime}" if way != runtime else "jishi"] = asked(predictor)
    told = pipeline("text-classification", model=str(bundles["torch"]), device="cpu")
    asks["transformers pipeline"] = lambda texts: [
        one["label"] for one in told(list(texts), batch_size=BATCH, truncation=True)
    ]
    vectors = SentenceTransformer(str(locate(ModelSpec("minilm"))), device="cpu")
    asks["sentence-transformers"] = lambda texts: list(vectors.encode(list(texts), batch_size=BATCH))
    return asks


def asked(predictor: Any) -> Ask:
    return lambda texts: [one["label"] for one in predictor.predict(texts)]


def neighbours(bundles: dict[str, Path], texts: Sequence[str]) -> dict[str, Any]:
    """How far each text's logits move, and how many labels change, when it is asked among others and not alone."""
    from onnx import load
    from onnxruntime.quantization import QuantType, quantize_dynamic

    usual = bundles["onnx"].with_name("usual")
    shutil.copytree(bundles["onnx"], usual)
    model = load(usual / "model.onnx")
    del model.graph.value_info[:]
    quantize_dynamic(model, usual / "model.onnx", per_channel=True, weight_type=QuantType.QInt8)
    manifest.seal(usual)
    found = {}
    for name, path in {"quantize_dynamic": usual, "int8": bundles["int8"]}.items():
        predictor = jishi.load(path, runtime="onnxruntime")
        together = [
            one for place in range(0, len(texts), BATCH) for one in predictor.outputs(texts[place : place + BATCH])
        ]
        alone = [predictor.outputs([text])[0] for text in texts]
        pairs = list(zip(alone, together, strict=True))
        found[name] = {
            "moved": max(float(numpy.abs(one - other).max()) for one, other in pairs),
            "changed": statistics.mean(float(one.argmax() != other.argmax()) for one, other in pairs),
        }
    return found


def measure(asks: dict[str, Ask], texts: Sequence[str], rounds: int) -> dict[str, Any]:
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in asks}
    said: dict[str, Sequence[Any]] = {}
    for _ in range(rounds):
        for name, ask in asks.items():
            ask(texts[:2])
            clock = time.perf_counter()
            said[name] = [
                answer for place in range(0, len(texts), BATCH) for answer in ask(texts[place : place + BATCH])
            ]
            many = len(texts) / (time.perf_counter() - clock)
            alone = []
            for text in texts[:BATCH]:
                clock = time.perf_counter()
                ask([text])
                alone.append(1000 * (time.perf_counter() - clock))
            spent[name].append((statistics.median(alone), many))
    first = said[next(iter(asks))]
    return {
        name: {
            "milliseconds": statistics.median(one for one, _ in runs),
            "texts_a_second": statistics.median(many for _, many in runs),
            "agreement": agreement(said[name], first),
        }
        for name, runs in spent.items()
    }


def agreement(said: Sequence[Any], first: Sequence[Any]) -> float | None:
    """None of vectors, which are no answers."""
    if not isinstance(said[0], str):
        return None
    return sum(one == other for one, other in zip(said, first, strict=True)) / len(said)


def table(language: str) -> str:
    found = record.kept(NAME)
    lines = [f"| {HEADERS[language]} |\n|---|---|---:|---:|---:|---:|---:|"]
    for kind, ways in found["texts"].items():
        plain = ways["transformers pipeline"]["texts_a_second"]
        for name, one in ways.items():
            way = next((way for way in METHODS if f" {way}," in name), "torch")
            size = f"{found['bytes'][way] / 2**20:.0f} MiB" if name.startswith("jishi") else "–"
            agrees = "–" if one["agreement"] is None else f"{one['agreement']:.1%}"
            cells = [
                KINDS[kind][language], name, size, f"{one['milliseconds']:.1f}", f"{one['texts_a_second']:.0f}",
                f"{one['texts_a_second'] / plain:.1f} ×", agrees,
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def company(language: str) -> str:
    lines = [f"| {COMPANY[language]} |\n|---|---:|---:|"]
    for name, one in record.kept(NAME)["company"].items():
        lines.append(f"| `{name}` | {one['moved']:.1g} | {one['changed']:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
