"""Does the search win? The spec with every default, beside the best of 20 trials of `jishi tune`, judged on the same test rows.

    python benchmarks/tuning.py                          every set
    python benchmarks/tuning.py --only sick --trials 5
    python benchmarks/tuning.py --docs                   what is kept, into docs/en/tuning.md and docs/zh/tuning.md

The default spec is the first of the trials. The search sees training and validation rows alone; test rows are seen by the default
and by what was found, once each.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import record

import jishi

ROOT = Path(__file__).parent.parent
NAME = "tuning"
TEXTS = {"name": "text-classification", "max_length": 64}
SETS: dict[str, dict[str, Any]] = {  # designs that start from nothing, and rows so few that 20 trials take minutes
    "banking77": {"model": "text-cnn", "task": TEXTS, "rows": 2000},
    "shopping_reviews_zh": {"model": "text-cnn", "task": TEXTS, "rows": 2000},
    "sick": {"model": "text-cnn", "task": TEXTS, "rows": 2000},
    "sign_digits": {"model": "resnet", "task": "image-classification", "rows": 600},
}
VALIDATION_ROWS, TEST_ROWS = 300, 1000
SEARCH: dict[str, Any] = {
    "train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "train.epochs": {"low": 2, "high": 12, "whole": True},
    "train.batch_size": [8, 16, 32, 64],
    "train.weight_decay": {"low": 1e-3, "high": 1e-1, "log": True},
}
HEADERS = {
    "en": "set | model | rows | metric | default | found | won | of it on validation rows | trials given up | search, s",
    "zh": "数据 | 模型 | 行数 | 指标 | 默认 | 搜索所得 | 增益 | 验证集上的增益 | 提前放弃的尝试 | 搜索秒数",
}


def main() -> None:
    options = parse()
    for name in SETS:
        if any(word in name for word in options.only) and not options.docs and name not in record.kept(NAME):
            record.keep(NAME, {**record.kept(NAME), name: run(name, options)})
    print(table("en"))
    if options.docs:
        record.into_docs("tuning", table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "tuning")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The default spec, then the search."""
    one = SETS[name]
    spec = {
        "data": {
            "train": str(options.data / name), "train_rows": one["rows"], "validation_rows": VALIDATION_ROWS,
            "test_rows": TEST_ROWS,
        },
        "model": one["model"], "task": one["task"], "train": {"threads": 1},
    }  # fmt: skip
    plain = jishi.finetune(**spec, out=str(options.out / f"{name}-default"))
    clock = time.monotonic()
    tuned = jishi.tune(finetune=spec, search=SEARCH, trials=options.trials, out=str(options.out / name))
    seconds = time.monotonic() - clock
    assert tuned.result is not None and tuned.plain is not None
    metric = plain.evaluation["metric"]
    return {
        "metric": metric, "rows": one["rows"], "seconds": seconds, "best": dict(tuned.best), "importance": dict(tuned.importance),
        "validation": [tuned.plain, tuned.trials[0]["score"]], "ended": len(tuned.trials), "trials": options.trials,
        "test": [made.evaluation["scores"][metric] for made in (plain, tuned.result)], "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def table(language: str) -> str:
    """Scores on test rows with their 95 % intervals, and what is won on them and on the rows that were searched on."""
    lines = [f"| {HEADERS[language]} |\n|---|---|---:|---|---:|---:|---:|---:|---:|---:|"]
    for name, found in record.kept(NAME).items():
        plain, best = found["test"]
        model = SETS[name]["model"]
        cells = [
            name, model if isinstance(model, str) else model["name"], str(found["rows"]), found["metric"],
            *(f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" for one in (plain, best)),
            f"{best['value'] - plain['value']:+.3f}", f"{found['validation'][1] - found['validation'][0]:+.3f}",
            str(found["trials"] - found["ended"]), f"{found['seconds']:.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
