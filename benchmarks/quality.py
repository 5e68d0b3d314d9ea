"""Quality on real data, each figure beside its plain baseline: mean and spread over seeds.

    python benchmarks/quality.py                      every case, three seeds
    python benchmarks/quality.py --only banking77     the cases whose name contains one of the words
    python benchmarks/quality.py --table              the table of what has been run so far
    python benchmarks/quality.py --docs               and written into docs/en/quality.md and docs/zh/quality.md

A run that is complete is not run again. Data: the folder `--data` (default: shared/data beside the project).
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
HEADERS = {
    "en": "case | metric | this model | plain baseline | trained parameters | training, s | peak memory | ECE | seeds",
    "zh": "任务 | 指标 | 本模型 | 朴素基线 | 训练参数量 | 训练秒数 | 峰值内存 | ECE | 种子数",
}
LAST_ONLY = 10**6  # steps between validations: beyond the end, so that the last weights are taken, not chosen


@dataclass(frozen=True)
class Case:
    """One row of the table: a data set, how much of it, and a spec."""

    name: str
    data: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    train_rows: int | None = None


def pictures(adapt: str, **train: Any) -> Case:
    """Hand signs with EfficientNet-lite0, judged on the whole test set."""
    settings = {
        "model": "efficientnet-lite0",
        "adapt": adapt,
        "train": {"batch_size": 32, "validate_every": LAST_ONLY, **train},
    }
    return Case(f"sign_digits {adapt}", "sign_digits", settings)


def reviews(rows: int | None, adapt: str, **train: Any) -> Case:
    """Chinese shopping reviews with e5-small; 256 more labelled rows fit the temperature."""
    settings = {
        "model": {"name": "e5-small", "vocabulary": "scripts"},
        "task": {"name": "text-classification", "max_length": 128 if rows and rows <= 128 else 64},
        "adapt": adapt,
        "train": {"batch_size": 16, "validate_every": LAST_ONLY, **train},
        "data": {"validation_rows": 256},
    }
    return Case(f"shopping_reviews_zh {rows or 'all'} {adapt}", "shopping_reviews_zh", settings, rows)


def intents(rows: int | None, adapt: str, **train: Any) -> Case:
    """English banking intents with MiniLM, judged on the whole official test set."""
    settings = {
        "model": "minilm",
        "task": {"name": "text-classification", "max_length": 64},
        "adapt": adapt,
        "train": {"batch_size": 32, "validate_every": LAST_ONLY, **train},
        "data": {"validation_rows": 256},
    }
    return Case(f"banking77 {'10 a class' if rows else 'all'} {adapt}", "banking77", settings, rows)


def entities(data: str) -> Case:
    """Named entities with e5-small, judged on the whole official test set."""
    train = {"epochs": 3, "batch_size": 16, "learning_rate": 1e-4, "validate_every": LAST_ONLY}
    return Case(f"{data} full", data, {"model": {"name": "e5-small", "vocabulary": "scripts"}, "train": train})


PROBE = {"epochs": 0, "fit_head": "before"}  # a linear probe

CASES = [
    reviews(32, "full", epochs=6, learning_rate=2e-5, fit_head="before"),
    reviews(32, "frozen", **PROBE),
    reviews(128, "full", epochs=4, learning_rate=2e-5, fit_head="before"),
    reviews(128, "lora", epochs=4, learning_rate=5e-4, fit_head="before"),
    reviews(128, "frozen", **PROBE),
    reviews(2000, "full", epochs=1, learning_rate=5e-5, fit_head="before"),
    reviews(2000, "frozen", **PROBE),
    intents(770, "full", epochs=6, learning_rate=1e-4, fit_head="before"),
    intents(770, "lora", epochs=6, learning_rate=1e-3, fit_head="before"),
    intents(770, "frozen", **PROBE),
    intents(None, "full", epochs=3, learning_rate=2e-4, fit_head="before"),
    intents(None, "frozen", **PROBE),
    entities("wnut17"),
    entities("uner_gsdsimp_zh"),
    pictures("full", epochs=3, learning_rate=1e-3),
    pictures("frozen", **PROBE),
    reviews(None, "full", epochs=1, learning_rate=5e-5, head_learning_rate=1e-2),
]


def main() -> None:
    options = parse()
    cases = [case for case in CASES if any(word in case.name for word in options.only)]
    if not (options.table or options.docs):
        for seed in range(options.seeds):  # every case once before any a second time
            for case in cases:
                run(case, seed, options)
    print(table(cases, options, "en"))
    if options.docs:
        for language in HEADERS:
            page = ROOT / "docs" / language / "quality.md"
            head, _, rest = page.read_text(encoding="utf-8").partition("<!-- table -->\n")
            tail = rest.partition("<!-- end -->")[2]
            inside = f"<!-- table -->\n{table(cases, options, language)}\n<!-- end -->"
            page.write_text(f"{head}{inside}{tail}", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "quality")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def run(case: Case, seed: int, options: argparse.Namespace) -> None:
    """One fine-tuning in a process of its own, so that its memory is its own; nothing to do where it is complete."""
    folder = place(case, seed, options.out)
    if figures(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "train": str(options.data / case.data),
        "train_rows": case.train_rows,
        "seed": seed,
        **case.settings.get("data", {}),
    }
    spec = {**case.settings, "data": data, "out": str(folder), "seed": seed}
    file = folder.with_suffix(".yaml")
    file.write_text(json.dumps(spec), encoding="utf-8")  # JSON is YAML
    with folder.with_suffix(".log").open("w") as log:
        done = subprocess.run([sys.executable, "-m", "jishi", "finetune", str(file)], stdout=log, stderr=log)
    print(f"{case.name}, seed {seed}: {'done' if done.returncode == 0 else f'failed, see {log.name}'}", flush=True)


def place(case: Case, seed: int, out: Path) -> Path:
    return out / case.name.replace(" ", "_") / f"seed-{seed}"


def figures(folder: Path) -> dict[str, Any]:
    """`run.json` and `evaluation.json` of a complete run, else nothing."""
    status = json.loads((folder / "run.json").read_text()) if (folder / "run.json").is_file() else {}
    if status.get("status") != "complete":
        return {}
    return {**status, "evaluation": json.loads((folder / "evaluation.json").read_text())}


def table(cases: list[Case], options: argparse.Namespace, language: str) -> str:
    """Markdown: the deciding metric of model and baseline, what was trained, seconds and memory."""
    lines = [
        f"| {HEADERS[language]} |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case in cases:
        found = [run for seed in range(options.seeds) if (run := figures(place(case, seed, options.out)))]
        if found:
            lines.append(line(case, found))
    return "\n".join(lines)


def line(case: Case, found: list[dict[str, Any]]) -> str:
    evaluations = [run["evaluation"] for run in found]
    metric, rival = evaluations[0]["metric"], evaluations[0]["baseline"]
    ours = [evaluation["scores"][metric]["value"] for evaluation in evaluations]
    theirs = [evaluation["rivals"][rival]["scores"][metric]["value"] for evaluation in evaluations]
    errors = [evaluation["calibration"]["ece"] for evaluation in evaluations if evaluation["calibration"]]
    resources = [run["resources"] for run in found]
    cells = [
        case.name, metric, spread(ours), f"{spread(theirs)} ({rival})",
        f"{resources[0]['trainable_parameters']:,} of {resources[0]['parameters']:,}",
        f"{statistics.median(entry['training_seconds'] for entry in resources):.0f}",
        f"{max(entry['peak_memory'] for entry in resources) / 2**30:.2f} GiB",
        f"{statistics.mean(errors):.3f}" if errors else "–",
        str(len(found)),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def spread(values: list[float]) -> str:
    """Mean ± sample standard deviation."""
    return f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
