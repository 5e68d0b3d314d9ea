"""What `jishi finetune --dry-run` says, beside what the run then takes: seconds of training and peak memory.

    python benchmarks/dry_run.py                     every case, three rounds, medians
    python benchmarks/dry_run.py --only LoRA         the cases whose name contains one of the words
    python benchmarks/dry_run.py --processor         seconds of the processor, where other work keeps the machine busy

Each plan and each run is a process of its own, on one thread, in turns.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
GIB = 2**30
LAUNCH = "import time; from jishi import cli; {instead}; cli.main()"
PROCESSOR = "time.monotonic = time.process_time"  # what both the plan and the run look at
SMALL = ["data.validation_rows=128", "data.test_rows=128", "train.threads=1", "train.precision=fp32"]
INTENTS = ["data.train={data}/banking77", "task.name=text-classification", "task.max_length=64", *SMALL]
SIGNS = [
    "data.train={data}/sign_digits",
    "model=efficientnet-lite0",
    "data.train_rows=96",
    "train.batch_size=16",
    *SMALL,
]
CASES = {
    "MiniLM, all weights": [*INTENTS, "model=minilm", "data.train_rows=512", "train.epochs=1"],
    "MiniLM, LoRA": [*INTENTS, "model=minilm", "data.train_rows=512", "train.epochs=1", "adapt=lora"],
    "MiniLM, head only, 3 epochs": [*INTENTS, "model=minilm", "data.train_rows=512", "train.epochs=3", "adapt=frozen"],
    "small Transformer from nothing, 3 epochs": [*INTENTS, "model.name=transformer-encoder", "data.train_rows=1024"],
    "EfficientNet-lite0, all weights": [*SIGNS, "train.epochs=2"],
}  # fmt: skip


def main() -> None:
    options = parse()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for name in CASES:
                if any(word in name for word in options.only):
                    found.setdefault(name, []).append(compared(name, Path(folder) / f"{name}-{number}", options))
    print("| case | said, s | took, s | ratio | said, GiB | took, GiB | ratio |\n|---|" + "---:|" * 6)
    for name, rounds in found.items():
        middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        cells = [
            f"{middle[said]:.{digits}f} | {middle[took]:.{digits}f} | {middle[said] / middle[took]:.2f}"
            for said, took, digits in (("said", "took", 1), ("said_memory", "took_memory", 2))
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processor", action="store_true")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    return parser.parse_args()


def compared(name: str, out: Path, options: argparse.Namespace) -> dict[str, float]:
    """One plan and one run."""
    plan = ask(name, out, options, "--dry-run")
    run = ask(name, out, options)["resources"]
    told = {
        "said": plan["seconds"], "took": run["training_seconds"],
        "said_memory": plan["memory"] / GIB, "took_memory": run["training_memory"] / GIB,
    }  # fmt: skip
    print(name, {key: round(value, 2) for key, value in told.items()}, file=sys.stderr, flush=True)
    return told


def ask(name: str, out: Path, options: argparse.Namespace, *more: str) -> dict[str, Any]:
    """The JSON that the command prints at its end."""
    words = [word.format(data=options.data) for word in CASES[name]]
    launch = LAUNCH.format(instead=PROCESSOR if options.processor else "pass")
    done = subprocess.run(
        [sys.executable, "-c", launch, "finetune", *words, f"out={out}", "--json", *more],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{name}: {done.stdout[-1000:]} {done.stderr[-1000:]}")
    answer: dict[str, Any] = json.loads(done.stdout if more else done.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    main()
