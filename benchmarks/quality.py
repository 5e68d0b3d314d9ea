"""Quality on real data, each figure beside the untuned model and a plain baseline: mean and spread over seeds.

    python benchmarks/quality.py                      every case, its seeds
    python benchmarks/quality.py --tasks text         the cases of a modality, or of a task: token_classification
    python benchmarks/quality.py --only banking77     the cases whose name contains one of the words
    python benchmarks/quality.py --table              the tables of what has been run so far
    python benchmarks/quality.py --docs               and written into docs/en/quality.md and docs/zh/quality.md

Cases stand in `cases/`, a folder a modality, a file a task; what a run came to is kept in `results/`, and is not run again.
Data: the folder `--data` (default: shared/data beside the project).
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import record
from cases.case import Case

ROOT = Path(__file__).parent.parent
CASES = Path(__file__).parent / "cases"
CHOICES = {
    "en": "task | data | what to use | metric | it reaches | untuned | plain baseline",
    "zh": "任务 | 数据 | 用什么 | 指标 | 达到 | 未训练 | 朴素基线",
}
HEADERS = {
    "en": "case | metric | this model | untuned | plain baseline | trained parameters | training, s | peak memory | ECE | seeds",
    "zh": "任务 | 指标 | 本模型 | 未训练 | 朴素基线 | 训练参数量 | 训练秒数 | 峰值内存 | ECE | 种子数",
}


def main() -> None:
    options = parse()
    names = [name for name in tasks() if any(word in (*name.split("/"), "") for word in options.tasks)]
    found = {name: [case for case in cases(name) if any(word in case.name for word in options.only)] for name in names}
    if not (options.table or options.docs):
        for seed in range(options.seeds):  # every case once before any a second time
            for name, chosen in found.items():
                for case in chosen:
                    if seed < case.seeds:
                        run(name, case, seed, options)
    print(tables(found, "en"))
    if options.docs:
        every = {name: cases(name) for name in tasks()}
        record.into_docs("quality", lambda language: f"{choices(every, language)}\n\n{tables(every, language)}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=[""])
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "quality")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def tasks() -> list[str]:
    """Every file of cases, as text/text_classification."""
    return sorted(str(file.relative_to(CASES).with_suffix("")) for file in CASES.glob("*/*.py"))


def cases(name: str) -> list[Case]:
    found: list[Case] = importlib.import_module(f"cases.{name.replace('/', '.')}").CASES
    return found


def run(name: str, case: Case, seed: int, options: argparse.Namespace) -> None:
    """One fine-tuning in a process of its own, so that its memory is its own; nothing to do where its result is kept."""
    if str(seed) in results(name).get(case.name, {}):
        return
    folder = options.out / case.name.replace(" ", "_") / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    source = options.data / case.data
    source = case.derive(source, folder.with_suffix(".rows")) if case.derive else source
    own = case.settings.get("data", {})
    data = {"train": str(source), "train_rows": case.train_rows, "seed": seed, **own}
    spec = {**case.settings, "data": data, "out": str(folder), "seed": seed}
    file = folder.with_suffix(".yaml")
    file.write_text(json.dumps(spec), encoding="utf-8")  # JSON is YAML
    with folder.with_suffix(".log").open("w") as log:
        done = subprocess.run([sys.executable, "-m", "jishi", "finetune", str(file)], stdout=log, stderr=log)
    if done.returncode == 0:
        keep(name, case, seed, folder)
    print(f"{case.name}, seed {seed}: {'done' if done.returncode == 0 else f'failed, see {log.name}'}", flush=True)


def results(name: str) -> dict[str, dict[str, Any]]:
    """What is kept of a task's runs: case → seed → figures."""
    return record.kept(name)


def keep(name: str, case: Case, seed: int, folder: Path) -> None:
    """Figures of a complete run, with the machine and the day: no row of the data."""
    status = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    kept = results(name)
    kept.setdefault(case.name, {})[str(seed)] = {
        "metric": evaluation["metric"],
        "rows": evaluation["rows"],
        "scores": values(evaluation["scores"]),
        "rivals": {rival: values(entry["scores"]) for rival, entry in evaluation["rivals"].items()},
        "baseline": evaluation["baseline"],
        "ece": evaluation["calibration"].get("ece"),
        "resources": status["resources"],
        "machine": record.machine(),
        "date": time.strftime("%Y-%m-%d"),
    }
    record.keep(name, kept)


def values(scores: dict[str, Any]) -> dict[str, float]:
    return {metric: entry["value"] for metric, entry in scores.items()}


def choices(found: dict[str, list[Case]], language: str) -> str:
    """Markdown: for every task and set what did best on it."""
    lines = [f"| {CHOICES[language]} |\n|---|---|---|---|---:|---:|---:|"]
    for name, chosen in found.items():
        kept = results(name)
        for data in dict.fromkeys(case.data for case in chosen if case.name in kept):
            rivals = [case for case in chosen if case.data == data and case.name in kept]
            best = max(rivals, key=lambda case: mean(list(kept[case.name].values())))
            model = best.settings["model"]
            base = model if isinstance(model, str) else model["name"]
            use = f"{base}:{best.name.removeprefix(data)}".removesuffix(":")
            lines.append(" | ".join([f"| {title(name)}", data, use, *figures(list(kept[best.name].values()))]) + " |")
    return "\n".join(lines)


def tables(found: dict[str, list[Case]], language: str) -> str:
    """Markdown: a heading and a table for every task that has results."""
    parts = []
    for name, chosen in found.items():
        kept = results(name)
        lines = [line(case, list(kept[case.name].values())) for case in chosen if case.name in kept]
        if lines:
            head = f"| {HEADERS[language]} |\n|---|---|" + "---:|" * 8
            runs = [run for case in chosen for run in kept.get(case.name, {}).values()]
            stamp = "; ".join(sorted({run["machine"] for run in runs})) + f" · {max(run['date'] for run in runs)}"
            parts.append("\n".join([f"### {title(name)}\n", head, *lines, f"\n{stamp}\n"]))
    return "\n".join(parts)


def title(name: str) -> str:
    return name.split("/")[-1].replace("_", "-")


def line(case: Case, runs: list[dict[str, Any]]) -> str:
    resources = [run["resources"] for run in runs]
    errors = [run["ece"] for run in runs if run["ece"] is not None]
    cells = [
        case.name,
        *figures(runs),
        f"{resources[0]['trainable_parameters']:,} of {resources[0]['parameters']:,}",
        f"{statistics.median(entry['training_seconds'] for entry in resources):.0f}",
        f"{max(entry['peak_memory'] for entry in resources) / 2**30:.2f} GiB",
        f"{statistics.mean(errors):.3f}" if errors else "–",
        str(len(runs)),
    ]
    return f"| {' | '.join(cells)} |"


def figures(runs: list[dict[str, Any]]) -> list[str]:
    """The metric, what the model reaches, the untuned model, and the plain baseline with its name."""
    metric, rival = runs[0]["metric"], runs[0]["baseline"]
    untuned, plain = (record.spread([run["rivals"][name][metric] for run in runs]) for name in ("untuned", rival))
    return [metric, record.spread([run["scores"][metric] for run in runs]), untuned, f"{plain} ({rival})"]


def mean(runs: list[dict[str, Any]]) -> float:
    return statistics.mean(run["scores"][run["metric"]] for run in runs)


if __name__ == "__main__":
    main()
