"""A crash costs nothing: training killed, or failed by its disk, and resumed; counted.

    pip install -c constraints.txt -e ".[benchmarks]"
    python benchmarks/crash.py                 the ckpt-chaos matrix of Jishi and of transformers' Trainer, side by side
    python benchmarks/crash.py --points 12     fewer places to be killed at
    python benchmarks/crash.py --kills 200     our own matrix: every file event, 200 random moments, faults of the disk, …

ckpt-chaos, an independent tool, runs a training command once to learn its file events, kills a fresh copy at each (and a second
copy with the file torn), starts the same command again, and holds the weights at the end against those of the run that nothing
stopped. Both commands train a small Transformer encoder on the same titles, 12 steps with a checkpoint every 3, and go on from
what they find. Jishi keeps its best and last checkpoint only, so the tool can tell work it has lost at the last one; our own
matrix (`tests/crashes.py`) tells at each.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TITLES = ROOT / "examples" / "data" / "titles.csv"
STEPS, EVERY, ROWS = 12, 3, 8
COUNT = re.compile(r"\| \*\*(\w+)\*\* \| (\d+) \|")
VERDICTS = ("PASS", "LOST_WORK", "SILENT_DIVERGENCE", "HARD_FAIL", "CONTROL_FAIL")


@dataclass(frozen=True)
class Contender:
    """A training command, and below its folder what it ends with, where its checkpoints are, and how it says where it goes on."""

    command: list[str]
    result: str
    checkpoints: str
    resumed: str


CONTENDERS = {
    "Jishi": Contender(
        ["-m", "jishi", "finetune", f"data={TITLES}", "model.name=transformer-encoder", "model.size=nano", "out={out}",
         f"train.max_steps={STEPS}", f"train.checkpoint_every={EVERY}", f"train.validate_every={STEPS}",
         f"train.batch_size={ROWS}", "train.threads=1", "train.precision=fp32", "resume=auto"],
        "bundle/model.safetensors", "checkpoints/step-*", r'"start", "step": (\d+)',
    ),
    "Trainer": Contender(
        [__file__, "--train", "{out}"], "end/model.safetensors", "checkpoint-*", r"goes on from step (\d+)",
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=40, help="places to be killed at")
    parser.add_argument("--kills", type=int, help="our own matrix, with so many kills at random moments")
    parser.add_argument("--only", nargs="*", default=[""], help="what has one of the words in its name")
    parser.add_argument("--train", metavar="OUT", type=Path, help="be the Trainer's training command, in this folder")
    options = parser.parse_args()
    if options.train:
        train_with_trainer(options.train)
        return
    if options.kills:
        kill_matrix(options.kills, options.only)
        return
    rows = [judged(name, options.points) for name in CONTENDERS if any(word in name for word in options.only)]
    print("\n".join([f"| | runs | {' | '.join(VERDICTS)} |", "|---|" + "---:|" * (1 + len(VERDICTS)), *rows]))


def judged(name: str, points: int) -> str:
    """One row of the table: how many of the resumed runs ended in which verdict."""
    one = CONTENDERS[name]
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.md"
        subprocess.run(
            [sys.executable, "-m", "ckpt_chaos", "run", "--work", f"{folder}/runs", "--max-points", str(points),
             "--summary", str(summary), "--result-file", "{out}/" + one.result, "--step-regex", one.resumed,
             "--checkpoint-glob", "{out}/" + one.checkpoints, "--ckpt-ignore-size", "--", sys.executable, *one.command],
            check=False, stdout=sys.stderr,
        )  # fmt: skip
        found = Counter({word: int(count) for word, count in COUNT.findall(summary.read_text(encoding="utf-8"))})
    return f"| {name} | {found.total()} | {' | '.join(str(found[verdict]) for verdict in VERDICTS)} |"


def kill_matrix(kills: int, only: list[str]) -> None:
    """A line for each cause: how often it was tried, and how often it cost anything."""
    sys.path.insert(0, str(ROOT / "tests"))
    import crashes

    print("| cause | attempts | resumed | from an earlier point | damaged | another exit | s |\n|---|" + "---:|" * 6)
    with tempfile.TemporaryDirectory() as folder:
        whole = crashes.undisturbed(Path(folder) / "whole")
        events, faults = range(1, whole.events + 1), range(crashes.POSITIONS)
        refused = {crashes.REFUSED}
        for name, cause, numbers, exits in (
            ("killed at every event of its files", crashes.killed, events, {-9}),
            ("… and half of what was being written lost", crashes.killed_and_torn, events, {-9}),
            ("killed at random moments", crashes.killed_at_random, range(kills), {-9, 0}),
            ("files may not grow beyond a size", crashes.full_disk, faults, refused | {0}),
            ("a disk that is full", crashes.full_file_system, faults, refused | {0}),
            ("fsync fails (EIO)", crashes.not_flushed, faults, refused | {0}),
            ("the directory becomes read-only", crashes.read_only, faults, refused | {0}),
            ("SIGTERM twice", crashes.terminated_twice, faults, {crashes.LEFT}),
            ("a second trainer in the same directory", crashes.second_trainer, faults, refused),
        ):  # fmt: skip
            if not any(word in name for word in only):
                continue
            clock = time.monotonic()
            found = []
            for number in numbers:
                place = Path(folder) / f"{cause.__name__}-{number}"
                found.append(crashes.outcome(place, cause(place, number, whole), whole))
                crashes.clear(place)
            cells = [
                len(found), sum(one.resumed for one in found), sum(one.earlier for one in found),
                sum(one.damaged for one in found), sum(one.code not in exits for one in found),
                f"{time.monotonic() - clock:.0f}",
            ]  # fmt: skip
            print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)


def train_with_trainer(out: Path) -> None:
    """The same work for transformers' Trainer, resumed from its newest checkpoint as its users do."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed
    from transformers.trainer_utils import get_last_checkpoint

    set_seed(0)
    lines = TITLES.read_text(encoding="utf-8").splitlines()[1:]
    labels = sorted({line.rpartition(",")[2] for line in lines})
    rows = [
        {
            "input_ids": torch.tensor([ord(letter) % 1000 for letter in text[:16].ljust(16)]),
            "labels": labels.index(label),
        }
        for text, _, label in (line.rpartition(",") for line in lines)
    ]
    config = BertConfig(
        vocab_size=1000, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
        num_labels=len(labels),
    )  # fmt: skip
    arguments = TrainingArguments(
        output_dir=str(out), max_steps=STEPS, save_steps=EVERY, per_device_train_batch_size=ROWS, use_cpu=True,
        report_to=[], disable_tqdm=True, seed=0, data_seed=0,
    )  # fmt: skip
    trainer = Trainer(model=BertForSequenceClassification(config), args=arguments, train_dataset=rows)
    last = get_last_checkpoint(str(out)) if out.is_dir() else None
    print(f"goes on from step {last.rpartition('-')[2] if last else 0}")
    trainer.train(resume_from_checkpoint=last)
    trainer.save_model(str(out / "end"))


if __name__ == "__main__":
    main()
