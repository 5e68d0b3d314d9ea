"""A dual encoder on pictures and sentences true of them (nlvr): how often the right picture, or sentence, is among the first k.

    python benchmarks/image_text.py                                    every way, one seed; some minutes each
    python benchmarks/image_text.py --seeds 3 --ways nothing
    python benchmarks/image_text.py --table                            the table of what has been run so far

Trained on the true rows of the training part, judged on those of the test part; its sentences and pictures were not seen. Each
sentence is held against every test picture, and each picture against every sentence. A sentence is often true of more pictures
than those it was written for, so no model could reach 1. Chance: every order of the pictures is as likely as any other.
"""

import argparse
import gzip
import json
import math
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import torch

import jishi
from jishi.core import spec
from jishi.core.contracts import Objective
from jishi.core.document import Document
from jishi.models import load

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "image_text.json"
CUTS = (1, 5, 10)
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # the model, and what of training differs
    "nothing": ({"name": "dual-encoder", "size": "mini", "dropout": 0.5}, {"learning_rate": 1e-3, "weight_decay": 0.1}),
    "larger pictures": (
        {"name": "dual-encoder", "size": "mini", "side": 128, "dropout": 0.5},
        {"learning_rate": 1e-3, "weight_decay": 0.1},
    ),
    "transformer": ({"name": "dual-encoder", "size": "mini", "text": "transformer-encoder"}, {"learning_rate": 1e-3}),
    "minilm": ({"name": "dual-encoder", "size": "mini", "text": "minilm"}, {"learning_rate": 3e-4}),
}


def main() -> None:
    options = parse()
    if not options.table:
        for seed in range(options.seeds):
            for way in options.ways:
                keep(way, seed, run(way, seed, options))
    print(table())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=float, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--judge", default="test", choices=("dev", "test"))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "image_text")
    parser.add_argument("--table", action="store_true")
    return parser.parse_args()


def run(way: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Pretrain, and judge the base before and after."""
    files = {part: rows(options, part) for part in ("train", "dev", options.judge)}
    model, training = WAYS[way]
    pretrained = jishi.pretrain(
        data={"train": str(files["train"]), "validation": str(files["dev"])},
        model=model, objective={"name": "image-text-contrastive", "flip": True}, seed=seed,
        train={"epochs": options.epochs, "batch_size": 64, "warmup": 0.1, "threads": options.threads, **training},
        out=str(options.out / f"{way}-{seed}"),
    )  # fmt: skip
    record = pretrained.record
    found = judged(pretrained.base, record["objective"], files[options.judge])
    return {
        "judged": options.judge, "epochs": options.epochs, **found, "loss": record["loss"],
        "seconds": record["resources"]["training_seconds"], "parameters": record["resources"]["parameters"],
    }  # fmt: skip


def rows(options: argparse.Namespace, part: str) -> Path:
    """The true rows of a part, with the places of their pictures."""
    folder = options.data / "nlvr"
    source = next(folder.glob(f"{part}.jsonl*"))
    with gzip.open(source, "rt") if source.suffix == ".gz" else source.open() as lines:
        kept = [row for row in map(json.loads, lines) if row["label"] is True]
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"{part}.jsonl"
    told = [json.dumps({"image": str((folder / row["image"]).resolve()), "text": row["sentence"]}) for row in kept]
    file.write_text("\n".join(told) + "\n", encoding="utf-8")
    return file


@torch.inference_mode()
def judged(base: Path, wanted: dict[str, Any], file: Path) -> dict[str, Any]:
    """Recall at the cuts, both ways, beside chance."""
    model, processor = load.reload(base, "")
    objective = spec.plugin(Objective, Document(wanted, "objective"))
    pairs = [objective.parse(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    features = [objective.encode(row, processor) for row in pairs]
    parts = [
        objective.represent(model, objective.collate(features[at : at + 32], processor))
        for at in range(0, len(pairs), 32)
    ]
    texts, pictures = torch.stack([row for part in parts for row in part]).unbind(1)
    close = texts @ pictures.T
    right = torch.tensor([[one["text"] == other["text"] for other in pairs] for one in pairs])
    first = list({row["text"]: place for place, row in enumerate(pairs)}.values())  # each sentence once
    told = {
        "pairs": len(pairs),
        "text to image": recalls(close[first], right[first]),
        "image to text": recalls(close.T[:, first], right[:, first]),
    }
    counts = Counter(row["text"] for row in pairs)
    told["text to image, chance"] = {
        k: statistics.mean(1 - math.comb(len(pairs) - count, k) / math.comb(len(pairs), k) for count in counts.values())
        for k in CUTS
    }
    told["image to text, chance"] = {k: k / len(first) for k in CUTS}
    return told


def recalls(close: torch.Tensor, right: torch.Tensor) -> dict[int, float]:
    """How often a right one is among the k closest."""
    return {k: right.gather(1, close.topk(k, 1).indices).any(1).float().mean().item() for k in CUTS}


def keep(way: str, seed: int, found: dict[str, Any]) -> None:
    kept = results()
    kept.setdefault(way, {})[str(seed)] = found
    RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def results() -> dict[str, Any]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}


def table() -> str:
    """Means over seeds, with their spread."""
    lines = [
        f"| towers | from | {' | '.join(f'recall@{k}' for k in CUTS)} | seconds |",
        "|---|---|" + "---:|" * (len(CUTS) + 1),
    ]
    for way, seeds in results().items():
        every = list(seeds.values())
        seconds = statistics.mean(one["seconds"] for one in every)
        for side in ("text to image", "image to text"):
            lines.append(f"| {way} | {side} | {' | '.join(spread(every, side, k) for k in CUTS)} | {seconds:.0f} |")
            lines.append(f"| (chance) | {side} | {' | '.join(spread(every, f'{side}, chance', k) for k in CUTS)} | |")
    return "\n".join(lines)


def spread(every: list[dict[str, Any]], side: str, k: int) -> str:
    values = [one[side].get(k, one[side].get(str(k))) for one in every]
    told = f"{statistics.mean(values):.3f}"
    return told if len(set(values)) < 2 else f"{told} ± {statistics.stdev(values):.3f}"


if __name__ == "__main__":
    main()
