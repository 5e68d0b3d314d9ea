"""What pretraining on pictures without labels is worth where few have labels: hand signs, before and after.

    python benchmarks/pretrain_images.py                       every model, 100 labels, two draws of them
    python benchmarks/pretrain_images.py --only resnet         the models whose name contains the word
    python benchmarks/pretrain_images.py --part dev            judged on the dev part: for choosing settings

Each model begins untrained, from masked-image or from contrastive-views, which see the training pictures of sign_digits without
their labels (`--unlabelled` adds other sets of `--data`). It is judged by a linear probe, which leaves it as it is, and
fine-tuned as a whole, on the same labelled pictures, beside gradient histograms with logistic regression. A pretraining that
`--out` holds already is not done again.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jishi
from jishi.core.errors import RowError
from jishi.data.rows import read

ROOT = Path(__file__).parent.parent
RESNET, VIT = ({"name": name, "size": "nano"} for name in ("resnet", "vit"))
PRETRAIN = {"batch_size": 128, "threads": 1, "validate_every": 10**6, "scheduler": "cosine"}
# name → model, objective (None: untrained), epochs
MODELS: Mapping[str, tuple[Any, Any, int]] = {
    "resnet untrained": (RESNET, None, 0),
    "resnet contrastive-views": (RESNET, "contrastive-views", 20),
    "vit untrained": (VIT, None, 0),
    "vit masked-image": (VIT, "masked-image", 30),
    "vit contrastive-views": (VIT, "contrastive-views", 15),
}
JUDGED: Mapping[str, Mapping[str, Any]] = {
    "probe": {"adapt": "frozen", "train": {"epochs": 0, "fit_head": "before"}},
    "full": {"adapt": "full", "train": {"epochs": 40, "batch_size": 32, "learning_rate": 1e-3}},
}


def main() -> None:
    options = parse()
    unlabelled = written(options)
    lines = []
    rival: dict[int, list[float]] = {}
    for name, (model, objective, epochs) in MODELS.items():
        if not any(word in name for word in options.only):
            continue
        base, cost = pretrained(name, model, objective, epochs, unlabelled, options)
        cells = []
        for count in options.labels:
            for how in JUDGED:
                found = [judged(base, how, count, seed, options) for seed in range(options.seeds)]
                rival.setdefault(count, [plain for _, plain in found])
                cells.append(spread([score for score, _ in found]))
        lines.append(f"| {name} | {cost} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    heads = [f"{count} labels, {how}" for count in options.labels for how in JUDGED]
    plain = " | ".join(spread(rival[count]) for count in options.labels for _ in JUDGED)
    print(f"\n| model | pretraining, s | {' | '.join(heads)} |\n|---|---:|{'---:|' * len(heads)}")
    print("\n".join([*lines, f"| gradient histograms + logistic regression | – | {plain} |"]))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--labels", nargs="*", type=int, default=[100])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--part", choices=["dev", "test"], default="test")
    parser.add_argument("--unlabelled", nargs="*", default=["sign_digits"])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "pretrain-images")
    return parser.parse_args()


def written(options: argparse.Namespace) -> Path:
    """The training pictures of the sets, one a row, and nothing else of them."""
    options.out.mkdir(parents=True, exist_ok=True)
    file: Path = options.out / f"{'-'.join(options.unlabelled)}.jsonl"
    with file.open("w", encoding="utf-8") as lines:
        for name in options.unlabelled:
            (source,) = (options.data / name).glob("train.jsonl*")
            pictures = [row["image"] for _, row in read(source) if not isinstance(row, RowError)]
            lines.writelines(json.dumps({"image": str(options.data / name / one)}) + "\n" for one in pictures)
    return file


def pretrained(
    name: str, model: Any, objective: Any, epochs: int, rows: Path, options: argparse.Namespace
) -> tuple[Any, str]:
    """What to fine-tune from, and the seconds it took."""
    if objective is None:
        return model, "–"
    out = options.out / f"{name.replace(' ', '-')}-{rows.stem}-{epochs}"
    if not (out / "base" / "pretraining.json").is_file():
        jishi.pretrain(
            data={"train": str(rows), "split": (0.95, 0.05, 0)}, out=str(out), model=model, objective=objective,
            train={**PRETRAIN, "epochs": epochs, "learning_rate": 2e-3},
        )  # fmt: skip
    record = json.loads((out / "base" / "pretraining.json").read_text(encoding="utf-8"))
    return str(out / "base"), f"{record['resources']['seconds']:.0f}"


def judged(base: Any, how: str, count: int, seed: int, options: argparse.Namespace) -> tuple[float, float]:
    """Accuracy on the held-out part, and that of the plain rival, from so many labelled pictures."""
    folder = options.data / "sign_digits"
    settings = JUDGED[how]
    run = jishi.finetune(
        data={
            "train": str(folder / "train.jsonl"), "test": str(folder / f"{options.part}.jsonl"), "split": (1, 0, 0),
            "train_rows": count, "seed": seed,
        },
        out=str(options.out / "judged"), resume="never", model=base, seed=seed, task="image-classification",
        adapt=settings["adapt"], train={**settings["train"], "threads": 1},
    )  # fmt: skip
    rival = run.evaluation["rivals"][run.baseline]["scores"]["accuracy"]["value"]
    return run.evaluation["scores"]["accuracy"]["value"], rival


def spread(found: list[float]) -> str:
    """Mean ± sample standard deviation."""
    return f"{statistics.mean(found):.3f}" + (f" ± {statistics.stdev(found):.3f}" if len(found) > 1 else "")


if __name__ == "__main__":
    main()
