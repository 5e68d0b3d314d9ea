"""Training rows varied, beside the same rows as they are: judged on test rows as they are, and damaged.

    python benchmarks/augmentation.py                          every way on every set, three seeds
    python benchmarks/augmentation.py --only banking77 --ways none eda --seeds 1
    python benchmarks/augmentation.py --docs                   what is kept, into docs/en and docs/zh

Damaged: 5 % of the characters of a text are dropped, doubled or swapped with the next; a picture is blurred and made noisy. The
same for all ways. A seed draws the training rows too, so that its runs are pairs.
"""

import argparse
import shutil
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import record
from cases.case import LAST_ONLY

import jishi
from jishi.core import registry
from jishi.core.contracts import Augmentation, Modality
from jishi.lifecycle.finetune import FinetuneSpec, start
from jishi.predictor import Predictor

ROOT = Path(__file__).parent.parent
NAME = "augmentation"
NONE, DEFAULT = "none", "the task's own"
HEADERS = {
    "en": "set | `train.augment` | clean | damaged | training, CPU s | seeds",
    "zh": "数据 | `train.augment` | 原样 | 受损 | 训练 CPU 秒数 | 种子数",
}


@dataclass(frozen=True)
class Set:
    """Few training rows of a data set, and what learns from them; `ways` are worth trying on it."""

    data: str
    column: str
    train_rows: int
    test_rows: int
    ways: tuple[str, ...]
    settings: Mapping[str, Any]
    modality: str = "text"
    severity: float = 0.1  # of `Modality.corrupt`
    own: bool = False  # the task varies rows by itself unless told not to
    train: Mapping[str, Any] = field(default_factory=dict)


ZH = ("synonym", "homophone", "typing-errors", "word-dropout", "eda")
EN = ("synonym", "keyboard", "typing-errors", "word-dropout", "eda")
IMAGE = ("crop", "rotate", "colour", "cutout", "rand-augment")
SHORT = {"name": "text-classification", "max_length": 32}
SETS = {
    "shopping_reviews_zh 128, text-cnn from nothing": Set(
        "shopping_reviews_zh", "text", 128, 600, ZH, {"model": "text-cnn", "task": SHORT},
        train={"epochs": 20, "learning_rate": 1e-3, "batch_size": 16},
    ),
    "sign_digits 10 a class, resnet from nothing": Set(
        "sign_digits", "image", 100, 413, IMAGE, {"model": {"name": "resnet", "size": "nano"}}, "image", 0.4, own=True,
        train={"epochs": 40, "learning_rate": 2e-3, "batch_size": 16},
    ),
    "banking77 8 a class, minilm": Set(
        "banking77", "text", 616, 308, EN, {"model": "minilm", "task": SHORT},
        train={"epochs": 2, "learning_rate": 5e-4, "batch_size": 32, "fit_head": "before"},
    ),
    "shopping_reviews_zh 64, e5-small": Set(
        "shopping_reviews_zh", "text", 64, 200, ZH,
        {"model": {"name": "e5-small", "vocabulary": "scripts"}, "task": SHORT},
        train={"epochs": 3, "learning_rate": 1e-4, "batch_size": 16, "fit_head": "before"},
    ),
}  # fmt: skip


def main() -> None:
    options = parse()
    sets = [name for name in SETS if any(word in name for word in options.only)]
    if not options.docs:
        for seed in range(options.seeds):  # every way once before any a second time
            for name in sets:
                own = (NONE, DEFAULT) if SETS[name].own else (NONE,)
                for way in (*own, *SETS[name].ways):
                    if not options.ways or way in options.ways:
                        run(name, way, seed, options)
    print(table("en"))
    if options.docs:
        record.into_docs("augmentation", table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--ways", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "augmentation")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def run(name: str, way: str, seed: int, options: argparse.Namespace) -> None:
    """Train with one way, and judge it on both; nothing to do where that is kept."""
    if str(seed) in record.kept(NAME).get(name, {}).get(way, {}):
        return
    one = SETS[name]
    folder = options.out / f"{name} {way} {seed}".replace(" ", "_").replace(",", "")
    train: dict[str, Any] = {**one.train, "validate_every": LAST_ONLY, "threads": 1, "compile": "never"}
    settings = {**one.settings, "train": train, "seed": seed, "out": str(folder)}
    if way == NONE and one.own:
        settings["task"] = {"name": "image-classification", "augment": False}
    if way not in (NONE, DEFAULT):
        train["augment"] = way
    rows = {"train_rows": one.train_rows, "validation_rows": 32, "test_rows": one.test_rows}
    data = {"train": str(options.data / one.data), **rows, "seed": seed}
    begun = start(jishi.api.read(FinetuneSpec, {**settings, "data": data}), folder, untuned=False)
    began = time.process_time()  # of this process, whatever else the machine does
    for _ in begun.loop.events(resume=False):
        pass
    seconds = time.process_time() - began
    scores = judged(Predictor(begun.loop.model, begun.task, begun.processor, {}), begun.held_out, one)
    shutil.rmtree(folder)
    found = record.kept(NAME)
    found.setdefault(name, {}).setdefault(way, {})[str(seed)] = {**scores, "seconds": seconds}
    record.keep(NAME, found)
    print(f"{name}, {way}, seed {seed}: clean {scores['clean']:.4f}, damaged {scores['damaged']:.4f}", flush=True)


def judged(predictor: Predictor, rows: Any, one: Set) -> dict[str, float]:
    """The task's own score on the test rows as they are, and damaged."""
    rng, modality = numpy.random.default_rng(0), registry.get(Modality, one.modality)()
    values = [modality.read(row[one.column]) for row in rows]
    damaged = [modality.corrupt(value, one.severity, rng) or value for value in values]
    scores = [
        predictor.task.score(predictor.predict([{one.column: value} for value in asked]), rows)[predictor.task.metric]
        for asked in (values, damaged)
    ]
    return {"clean": scores[0], "damaged": scores[1], "rows": len(rows)}


def table(language: str) -> str:
    """Means over the seeds kept, ± their spread, and what is won or lost beside no augmentation on the same seeds."""
    lines = [f"| {HEADERS[language]} |", "|---|---|---:|---:|---:|---:|"]
    for name in SETS:
        ways = record.kept(NAME).get(name, {})
        for way in (NONE, DEFAULT, *registry.names(Augmentation)):
            if way in ways:
                runs = ways[way]
                seconds = statistics.median(one["seconds"] for one in runs.values())
                cells = [cell(runs, ways.get(NONE, {}), kind, way) for kind in ("clean", "damaged")]
                lines.append(f"| {name} | {shown(way, language)} | {' | '.join(cells)} | {seconds:.0f} | {len(runs)} |")
    return "\n".join(lines)


def shown(way: str, language: str) -> str:
    if way == DEFAULT:
        return {"en": "none (`task.augment`)", "zh": "无（`task.augment`）"}[language]
    return {"en": "none", "zh": "无"}[language] if way == NONE else f"`{way}`"


def cell(runs: Mapping[str, Any], plain: Mapping[str, Any], kind: str, way: str) -> str:
    """The mean and its spread; in brackets the mean of what each seed wins, ± its spread."""
    scores = [one[kind] for one in runs.values()]
    pairs = [runs[seed][kind] - plain[seed][kind] for seed in runs if seed in plain]
    won = f" ({spread(pairs, '+.3f')})" if pairs and way != NONE else ""
    return f"{spread(scores, '.3f')}{won}"


def spread(values: list[float], form: str) -> str:
    mean = f"{statistics.mean(values):{form}}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
