"""Time to equal quality beside transformers' Trainer: accuracy on the whole test set of banking77 after each epoch, and seconds.

    python benchmarks/time_to_quality.py                             all rows, three epochs, three seeds (hours on one core)
    python benchmarks/time_to_quality.py --rows 770 --epochs 6       ten rows a class

Jishi, the Trainer as it comes, and well set, with the same batch size, dropout, rates and trained parameters, one after the
other, then the next seed; and Jishi as its documentation advises, with the head fitted first. Judging is the same for all, and
its time is left out.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import training

ADVISED = "Jishi, head fitted first"
CONTENDERS = (training.JISHI, training.TRAINER, training.WELL_SET, ADVISED)


def main() -> None:
    options = parse()
    if options.run:
        print(json.dumps(measured(options)))
        return
    found: dict[str, list[list[list[float]]]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as models:
        for seed in range(options.seeds):
            for name in CONTENDERS:
                command = [
                    sys.executable, __file__, "--run", name, str(seed), "--models", models, "--data", str(options.data),
                    "--rows", str(options.rows), "--epochs", str(options.epochs),
                ]  # fmt: skip
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(f"{name}: {done.stderr[-2000:]}")
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
                print(f"{name}, seed {seed}: {found[name][-1]}", file=sys.stderr, flush=True)
    print(table(found))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8992)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=training.ROOT.parent / "shared" / "data")
    parser.add_argument("--run", nargs=2, metavar=("CONTENDER", "SEED"), help=argparse.SUPPRESS)
    parser.add_argument("--models", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def table(found: dict[str, list[list[list[float]]]]) -> str:
    """Mean ± spread of the accuracy at the end of each epoch; the time to what the Trainer ends with, less its seeds' spread."""
    ends = [run[-1][1] for run in found[training.TRAINER]]
    goal = statistics.mean(ends) - (statistics.stdev(ends) if len(ends) > 1 else 0.0)
    lines = [
        f"| | accuracy after each epoch | seconds, all epochs | seconds to {goal:.3f} | × as fast as Trainer |",
        "|---|---|---:|---:|---:|",
    ]
    reached = {name: first(runs, goal) for name, runs in found.items()}
    for name, runs in found.items():
        epochs = [[run[epoch][1] for run in runs] for epoch in range(len(runs[0]))]
        means = " → ".join(f"{statistics.mean(one):.3f}" for one in epochs)
        spread = f" ± {statistics.stdev(epochs[-1]):.3f}" if len(runs) > 1 else ""
        whole = statistics.median(run[-1][0] for run in runs)
        to_goal = "not reached" if reached[name] is None else f"{reached[name]:.0f}"
        ratio = "–" if reached[name] is None else f"{reached[training.TRAINER] / reached[name]:.1f}"
        lines.append(f"| {name} | {means}{spread} | {whole:.0f} | {to_goal} | {ratio} |")
    return "\n".join(lines)


def first(runs: list[list[list[float]]], goal: float) -> float | None:
    """The median time at the end of the first epoch at which the mean accuracy is that good."""
    for epoch in range(len(runs[0])):
        if statistics.mean(run[epoch][1] for run in runs) >= goal:
            return statistics.median(run[epoch][0] for run in runs)
    return None


def measured(options: argparse.Namespace) -> list[list[float]]:
    """(seconds so far, accuracy) at the end of each epoch."""
    import torch

    torch.set_num_threads(1)
    contender, seed = options.run
    case = training.Case(
        "minilm", rows=options.rows, epochs=options.epochs, whole=True, learning_rate=2e-4, seed=int(seed)
    )  # fmt: skip
    setup = training.prepared(case, options)
    accuracies: list[float] = []
    test = judged_rows(setup, options)
    setup = dataclasses.replace(setup, judge=lambda model: accuracies.append(accuracy(setup, model, *test)))
    steps: Iterator[Any] = (
        training.with_trainer(setup, contender)
        if contender in training.CONTENDERS[1:]
        else training.with_jishi(setup, head_first=contender == ADVISED)
    )
    seconds, rows, times = 0.0, 0, []
    for step in steps:
        rows, seconds = rows + step[0], seconds + step[3]
        if rows % len(setup.rows) == 0:
            times.append(seconds)
    return [[time, value] for time, value in zip(times, accuracies, strict=True)]


def judged_rows(setup: training.Setup, options: argparse.Namespace) -> tuple[list[Any], list[Any]]:
    file = options.data / "banking77" / "test.jsonl"
    rows = [setup.objective.parse(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    return rows, [setup.objective.encode(row, setup.processor) for row in rows]


def accuracy(setup: training.Setup, model: Any, rows: list[Any], features: list[Any]) -> float:
    from jishi.models.inference import outputs

    found = outputs(setup.objective, model, features, setup.processor)
    labels = setup.objective.labels
    right = sum(labels[int(one.argmax())] == row["label"] for one, row in zip(found, rows, strict=True))
    return right / len(rows)


if __name__ == "__main__":
    main()
