"""Learning made harder, beside plain learning: the same model on clean test rows, and on the same rows with typing errors.

    python benchmarks/robustness.py                          every way on every set, three seeds
    python benchmarks/robustness.py --only banking77 --ways plain fgm --seeds 1
    python benchmarks/robustness.py --docs                   what is kept, into docs/en/robustness.md and docs/zh/robustness.md

5 % of the characters of every test text are dropped, doubled or swapped with the next (`--noise`), the same for all ways.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import record
from cases.text.text_classification import CASES

import jishi
from jishi.core import registry
from jishi.core.contracts import Modality, Regularization
from jishi.data.dataset import Dataset

ROOT = Path(__file__).parent.parent
NAME = "robustness"
PLAIN = "plain"
SETS = {"banking77 10 a class": "banking77 10 a class full", "shopping_reviews_zh 128": "shopping_reviews_zh 128 full"}
HEADERS = {
    "en": "set | `train.regularize` | clean | with typing errors | training, s | seeds",
    "zh": "数据 | `train.regularize` | 原文 | 含打字错误 | 训练秒数 | 种子数",
}


def main() -> None:
    options = parse()
    sets = [name for name in SETS if any(word in name for word in options.only)]
    if not options.docs:
        for seed in range(options.seeds):  # every way once before any a second time
            for name in sets:
                for way in options.ways:
                    run(name, way, seed, options)
    print(table("en"))
    if options.docs:
        record.into_docs("robustness", table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--ways", nargs="*", default=[PLAIN, *registry.names(Regularization)])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "robustness")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def run(name: str, way: str, seed: int, options: argparse.Namespace) -> None:
    """Train one way, and judge it on both; nothing to do where that is kept."""
    if str(seed) in record.kept(NAME).get(name, {}).get(way, {}):
        return
    case = next(one for one in CASES if one.name == SETS[name])
    folder = options.out / f"{name} {way} {seed}".replace(" ", "_")
    settings: dict[str, Any] = dict(case.settings)
    train = {**settings["train"], **({} if way == PLAIN else {"regularize": way})}
    data = {"train": str(options.data / case.data), "train_rows": case.train_rows, "seed": seed, **settings["data"]}
    made = jishi.finetune(**{**settings, "train": train, "data": data, "out": str(folder), "seed": seed})
    assert made.bundle is not None
    rows = Dataset.load(folder / "data").test
    rng, text = numpy.random.default_rng(0), registry.get(Modality, "text")()
    noisy = [{**row, "text": text.corrupt(row["text"], 2 * options.noise, rng) or row["text"]} for row in rows]
    predictor = jishi.load(made.bundle)
    scores = [
        predictor.task.score(predictor.predict([{"text": row["text"]} for row in asked]), rows)[predictor.task.metric]
        for asked in (rows, noisy)
    ]
    found = record.kept(NAME)
    found.setdefault(name, {}).setdefault(way, {})[str(seed)] = {
        "clean": scores[0], "noisy": scores[1], "rows": len(rows), "seconds": made.resources["training_seconds"],
    }  # fmt: skip
    record.keep(NAME, found)
    print(f"{name}, {way}, seed {seed}: clean {scores[0]:.4f}, noisy {scores[1]:.4f}", flush=True)


def table(language: str) -> str:
    """Means over the seeds kept, ± their spread, and what is won or lost beside plain learning on the same seeds."""
    lines = [f"| {HEADERS[language]} |", "|---|---|---:|---:|---:|---:|"]
    for name, ways in record.kept(NAME).items():
        for way in (PLAIN, *registry.names(Regularization)):
            if way in ways:
                runs = ways[way]
                seconds = statistics.median(one["seconds"] for one in runs.values())
                cells = [cell(runs, ways.get(PLAIN, {}), kind, way) for kind in ("clean", "noisy")]
                lines.append(f"| {name} | `{way}` | {' | '.join(cells)} | {seconds:.0f} | {len(runs)} |")
    return "\n".join(lines)


def cell(runs: Mapping[str, Any], plain: Mapping[str, Any], kind: str, way: str) -> str:
    scores = [one[kind] for one in runs.values()]
    pairs: Sequence[float] = [runs[seed][kind] - plain[seed][kind] for seed in runs if seed in plain]
    won = f" ({statistics.mean(pairs):+.3f})" if pairs and way != PLAIN else ""
    return f"{record.spread(scores)}{won}"


if __name__ == "__main__":
    main()
