"""Few labels, and many rows without: what those win, by the number of labels.

    python benchmarks/few_labels.py                       every way on every set, three seeds
    python benchmarks/few_labels.py --only sign_digits --seeds 1
    python benchmarks/few_labels.py --docs                what is kept, into docs/en and docs/zh

A seed draws the labelled rows too, so that the runs of a seed are pairs: the same labels, validation and test rows, settings. The
unlabelled rows are the other training rows of the set; their labels are looked at only to tell how many that self-training gave
were right.
"""

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import record
from cases.case import LAST_ONLY

import jishi
from jishi.data.rows import read
from jishi.lifecycle.rounds import LABELLED

ROOT = Path(__file__).parent.parent
NAME = "few_labels"
NONE = "labels alone"
VALIDATION = 100
HEADERS = {
    "en": "set | labels | `unlabelled.method` | score | won on the same seeds | labels given, right of them | CPU s | seeds",
    "zh": "数据 | 标签数 | `unlabelled.method` | 得分 | 同种子下的增益 | 给出的标签数与正确率 | CPU 秒数 | 种子数",
}
METHODS: Mapping[str, Any] = {
    "self-training": {"name": "self-training"},
    "fixmatch": {"name": "fixmatch", "ramp": 0.3},
    "fixmatch, threshold 0.8": {"name": "fixmatch", "ramp": 0.3, "threshold": 0.8},
    "uda": {"name": "uda", "ramp": 0.3},
}


@dataclass(frozen=True)
class Set:
    """A data set with few of its labels, and what learns from them."""

    data: str
    rows: str  # the file of its training rows
    column: str
    labels: tuple[int, ...]
    test_rows: int
    settings: Mapping[str, Any]
    train: Mapping[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ("self-training", "fixmatch, threshold 0.8", "uda")
    most: int = 2000  # unlabelled rows


SHORT = {"name": "text-classification", "max_length": 32}
SETS = {
    "sign_digits, resnet from nothing": Set(
        "sign_digits", "train.jsonl", "image", (50, 100), 413, {"model": {"name": "resnet", "size": "nano"}},
        {"max_steps": 300, "epochs": 200, "learning_rate": 2e-3, "batch_size": 16},
        ("self-training", "fixmatch", "uda"),
    ),
    "shopping_reviews_zh, text-cnn from nothing": Set(
        "shopping_reviews_zh", "train.jsonl.gz", "text", (128, 512), 600, {"model": "text-cnn", "task": SHORT},
        {"max_steps": 240, "epochs": 200, "learning_rate": 1e-3, "batch_size": 16},
    ),
    "banking77, minilm frozen": Set(
        "banking77", "train.jsonl.gz", "text", (154, 616), 600,
        {"model": "minilm", "task": SHORT, "adapt": "frozen"}, {"epochs": 0, "fit_head": "before", "head_strength": 1.0},
        ("self-training",),
    ),
}  # fmt: skip


def main() -> None:
    options = parse()
    sets = [name for name in SETS if any(word in name for word in options.only)]
    for seed in range(0 if options.docs else options.seeds):  # every way once before any a second time
        for name in sets:
            for labels in SETS[name].labels:
                for method in (NONE, *SETS[name].methods):
                    run(name, labels, method, seed, options)
    print(table("en"))
    if options.docs:
        record.into_docs("few-labels", table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "few_labels")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def run(name: str, labels: int, method: str, seed: int, options: argparse.Namespace) -> None:
    """Train with one way, and judge it; nothing to do where that is kept."""
    if str(seed) in record.kept(NAME).get(name, {}).get(str(labels), {}).get(method, {}):
        return
    one = SETS[name]
    folder = options.out / f"{name} {labels} {method} {seed}".replace(" ", "_").replace(",", "")
    shutil.rmtree(folder, ignore_errors=True)
    rows = options.data / one.data / one.rows
    asked: dict[str, Any] = {**one.settings, "seed": seed, "out": str(folder)}
    asked["train"] = {**one.train, "validate_every": LAST_ONLY, "threads": 1, "compile": "never"}
    counts = {"train_rows": labels, "validation_rows": VALIDATION, "test_rows": one.test_rows}
    asked["data"] = {"train": str(options.data / one.data), **counts, "seed": seed}
    if method != NONE:
        asked["unlabelled"] = {"data": {"train": str(rows), "max_rows": one.most}, "method": METHODS[method]}
    began = time.process_time()  # of this process, whatever else the machine does
    try:
        made = jishi.finetune(**asked)
        scores = made.evaluation["scores"]
        told: dict[str, Any] = {"score": scores[made.evaluation["metric"]]["value"], **given(folder, rows, one)}
    except jishi.JishiError as error:  # nothing was learnt from the unlabelled rows: the labels alone are what is left
        told = {"refused": error.code}
    told["seconds"] = time.process_time() - began
    shutil.rmtree(folder, ignore_errors=True)
    found = record.kept(NAME)
    found.setdefault(name, {}).setdefault(str(labels), {}).setdefault(method, {})[str(seed)] = told
    record.keep(NAME, found)
    print(f"{name}, {labels} labels, {method}, seed {seed}: {told}", flush=True)


def given(folder: Path, rows: Path, one: Set) -> dict[str, float]:
    """How many labels self-training gave, and the share of them that is right."""
    file = folder / "rounds" / "0" / LABELLED
    if not file.is_file():
        return {}

    def key(value: str) -> str:
        return Path(value).name if one.column == "image" else value

    right = {key(row[one.column]): str(row["label"]) for _, row in read(rows)}
    labelled = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    hits = [right[key(row[one.column])] == row["label"] for row in labelled]
    kept = json.loads((folder / "unlabelled.json").read_text(encoding="utf-8"))["unlabelled"]["kept"]
    return {"given": len(hits), "right": statistics.mean(hits), "kept": kept}


def table(language: str) -> str:
    """Means over the seeds kept, ± their spread, and what is won or lost beside the labels alone on the same seeds."""
    lines = [f"| {HEADERS[language]} |", "|---|---:|---|---:|---:|---:|---:|---:|"]
    for name, one in SETS.items():
        for labels in one.labels:
            ways = record.kept(NAME).get(name, {}).get(str(labels), {})
            lines += [
                f"| {name} | {labels} | {' | '.join(cells(method, ways, language))} |"
                for method in (NONE, *one.methods)
                if method in ways
            ]
    return "\n".join(lines)


def cells(method: str, ways: Mapping[str, Any], language: str) -> list[str]:
    """One line: where nothing was learnt from the unlabelled rows, that seed says so and counts in no mean."""
    runs = {seed: told for seed, told in ways[method].items() if "score" in told}
    refused = len(ways[method]) - len(runs)
    shown = {"en": "none", "zh": "无"}[language] if method == NONE else f"`{method}`"
    seconds = f"{statistics.median(told['seconds'] for told in ways[method].values()):.0f}"
    count = f"{len(runs)}" + (f" ({refused} {({'en': 'refused', 'zh': '次拒绝'})[language]})" if refused else "")
    if not runs:
        return [shown, "–", "–", "–", seconds, count]
    pairs = [told["score"] - ways[NONE][seed]["score"] for seed, told in runs.items() if seed in ways[NONE]]
    won = signed(pairs) if pairs and method != NONE else "–"
    labels = [told for told in runs.values() if "given" in told]
    gave = "–"
    if labels:
        gave = f"{statistics.mean(told['given'] for told in labels):.0f}, {statistics.mean(told['right'] for told in labels):.0%}"
    return [shown, record.spread([told["score"] for told in runs.values()]), won, gave, seconds, count]


def signed(values: list[float]) -> str:
    mean = f"{statistics.mean(values):+.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
