"""A crash costs nothing, as an independent tool sees it: training killed at the file events of its saves, and resumed.

    pip install -c constraints.txt -e ".[benchmarks]"
    python benchmarks/crash.py                the matrix of Jishi and of transformers' Trainer, side by side
    python benchmarks/crash.py --points 12    fewer places to be killed at

ckpt-chaos runs a training command once to learn its file events, kills a fresh copy at each (and a second copy with the file
torn), starts the same command again, and holds the weights at the end against those of the run that nothing stopped. Both
commands train a small Transformer encoder on the same titles, 12 steps with a checkpoint every 3, and go on from what they find.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
TITLES = ROOT / "examples" / "data" / "titles.csv"
STEPS, EVERY, ROWS = 12, 3, 8
COUNT = re.compile(r"\| \*\*(\w+)\*\* \| (\d+) \|")
VERDICTS = ("PASS", "LOST_WORK", "SILENT_DIVERGENCE", "HARD_FAIL", "CONTROL_FAIL")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=40, help="places to be killed at")
    parser.add_argument("--train", metavar="OUT", type=Path, help="be the Trainer's training command, in this folder")
    options = parser.parse_args()
    if options.train:
        train_with_trainer(options.train)
        return
    jishi = [
        "-m", "jishi", "finetune", f"data={TITLES}", "model.name=transformer-encoder", "model.size=nano", "out={out}",
        f"train.max_steps={STEPS}", f"train.checkpoint_every={EVERY}", f"train.validate_every={STEPS}",
        f"train.batch_size={ROWS}", "train.threads=1", "resume=auto",
    ]  # fmt: skip
    rows = [
        judged("Jishi", jishi, "{out}/bundle/model.safetensors", options.points),
        judged("transformers Trainer", [__file__, "--train", "{out}"], "{out}/end/model.safetensors", options.points),
    ]
    print("\n".join([f"| | kills | {' | '.join(VERDICTS)} |", "|---|" + "---:|" * (1 + len(VERDICTS)), *rows]))


def judged(name: str, command: list[str], result: str, points: int) -> str:
    """One row of the table: how many of the resumed runs ended in which verdict."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.md"
        subprocess.run(
            [sys.executable, "-m", "ckpt_chaos", "run", "--work", f"{folder}/runs", "--max-points", str(points),
             "--summary", str(summary), "--result-file", result, "--", sys.executable, *command],
            check=False, stdout=sys.stderr,
        )  # fmt: skip
        found = Counter({word: int(count) for word, count in COUNT.findall(summary.read_text(encoding="utf-8"))})
    return f"| {name} | {found.total()} | {' | '.join(str(found[verdict]) for verdict in VERDICTS)} |"


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
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(out)) if out.is_dir() else None)
    trainer.save_model(str(out / "end"))


if __name__ == "__main__":
    main()
