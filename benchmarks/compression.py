"""What compression costs: bytes and score of a bundle before and after, on all test rows.

    python benchmarks/compression.py                    every case; kept results are not run again
    python benchmarks/compression.py --only stsb
    python benchmarks/compression.py --docs             what is kept, into docs/en/compression.md and docs/zh/compression.md

Heads are fitted on frozen states, vectors tuned in one pass: compression is what is measured, not training. Where the compression
trains too (pruning), all weights were tuned before, so that what healing adds is not counted as its gain.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import record

import jishi

ROOT = Path(__file__).parent.parent
NAME = "compression"
HEADERS = {
    "en": "set | base | method | MiB | score | difference [95 %] | answers that change",
    "zh": "数据 | 基座 | 方法 | MiB | 得分 | 差异 [95%] | 改变的答案",
}


@dataclass(frozen=True)
class Case:
    """A set, what learns from it, and the ways to compress that follow one another."""

    data: str
    model: Any
    task: Mapping[str, Any]
    ways: Mapping[str, Sequence[Any]]
    train: Mapping[str, Any]
    adapt: str = "frozen"
    heal: Mapping[str, Any] = field(default_factory=dict)


E5 = {"name": "e5-small", "vocabulary": "scripts"}
WAYS = {"onnx": ["onnx"], "int8": ["int8"], "int4": ["int4"]}
WIDTH, LAYERS = {"name": "pruning", "width": 0.5}, {"name": "pruning", "width": 0.0, "layers": 0.5}
THIRD = {"name": "low-rank", "share": 0.667}  # as much stays as with pruning, width 0.5
HALF = {"name": "low-rank", "share": 0.5}
TUNED = {
    "int8": ["int8"],
    "low-rank, share 0.667, rows 0": [{**THIRD, "rows": 0}],
    "low-rank, share 0.667": [THIRD],
    "low-rank, share 0.5": [HALF],
    "low-rank, share 0.5; int8": [HALF, "int8"],
    "low-rank, share 0.5, heal": [{**HALF, "heal": True}],
    "pruning, width 0.5": [WIDTH],
    "pruning, layers 0.5": [LAYERS],
    "pruning, width 0.5; int8": [WIDTH, "int8"],
}
PROBE = {"epochs": 0, "fit_head": "before"}
CASES = {
    "banking77, minilm": Case("banking77", "minilm", {"name": "text-classification", "max_length": 64}, WAYS, PROBE),
    "banking77, e5-small": Case("banking77", E5, {"name": "text-classification", "max_length": 64}, WAYS, PROBE),
    "sick, minilm": Case("sick", "minilm", {"name": "text-classification", "max_length": 64}, WAYS, PROBE),
    "sick, minilm, all weights tuned": Case(
        "sick", "minilm", {"name": "text-classification", "max_length": 64}, TUNED, {"epochs": 3}, "full", {"epochs": 3}
    ),
    "shopping_reviews_zh, e5-small": Case(
        "shopping_reviews_zh", E5, {"name": "text-classification", "max_length": 64}, WAYS, PROBE
    ),
    "stsb_en, e5-small": Case(
        "stsb_en", E5, {"name": "sentence-similarity", "max_length": 64}, WAYS, {"epochs": 1}, "full"
    ),
    "stsb_zh, e5-small": Case(
        "stsb_zh", E5, {"name": "sentence-similarity", "max_length": 64}, WAYS, {"epochs": 1}, "full"
    ),
    "sign_digits, efficientnet-lite0": Case(
        "sign_digits", "efficientnet-lite0", {"name": "image-classification"}, WAYS, PROBE
    ),
}
ROWS = 2000  # training rows that a head is fitted on


def main() -> None:
    options = parse()
    for name, case in CASES.items():
        if not options.docs and name not in record.kept(NAME) and any(word in name for word in options.only):
            record.keep(NAME, {**record.kept(NAME), name: run(name, case, options)})
    print(table("en"))
    if options.docs:
        record.into_docs("compression", table, "cost", "end cost")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "compression")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def run(name: str, case: Case, options: argparse.Namespace) -> dict[str, Any]:
    folder = options.out / name.replace(", ", "-")
    made = jishi.finetune(
        data={"train": str(options.data / case.data), "train_rows": ROWS, "validation_rows": 500}, out=str(folder),
        model=case.model, task=case.task, adapt=case.adapt, train=case.train,
    )  # fmt: skip
    found = {}
    for place, (way, method) in enumerate(case.ways.items()):
        out = folder / str(place)
        told = jishi.compress(made.bundle, method=method, out=out, tolerance=1.0, train=case.heal)
        found[way] = {**told["hops"][-1], "bytes": told["bytes"]}
        print(name, way, told["hops"][-1]["difference"], flush=True)
    return found


def table(language: str) -> str:
    lines = [f"| {HEADERS[language]} |\n|---|---|---|---:|---:|---:|---:|"]
    for name, ways in record.kept(NAME).items():
        data, base = name.split(", ", 1)
        first = next(iter(ways.values()))
        lines.append(f"| {data} | {base} | – | {first['bytes']['before'] / 2**20:.1f} | {first['before']:.4f} | | |")
        for way, one in ways.items():
            judged = one["judged"]
            cells = [
                data, base, f"`{way}`", f"{one['bytes']['after'] / 2**20:.1f}", f"{one['after']:.4f}",
                f"{one['difference']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]", f"{judged['flips']} / {judged['rows']:,}",
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
