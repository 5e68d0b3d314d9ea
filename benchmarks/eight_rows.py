"""Does each way to adapt learn? Steps until the loss of eight rows has fallen to a tenth, on each family of backbones.

    python benchmarks/eight_rows.py                         every method on every family, with the rows of the contract tests
    python benchmarks/eight_rows.py --methods lora ia3
    python benchmarks/eight_rows.py --docs                  what is kept, into docs/en/adaptation.md and docs/zh/adaptation.md

The models have random weights and less than a million parameters, so that what does not learn has no knowledge to hide behind.
All eight rows are in every step; of the rates tried, the one that gets there first counts.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import record
import torch

from jishi.core import registry
from jishi.core.contracts import Adaptation, Objective
from jishi.core.errors import ModelError
from jishi.models import heads, load
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec

sys.path.insert(0, str(record.ROOT / "tests"))
from eight import FAMILIES, ROWS

NAME = "eight_rows"
STEPS = 200
RATES = (1e-3, 1e-2)
TENTH = 0.1
TRAIN = {
    "max_steps": STEPS, "epochs": STEPS, "batch_size": 8, "max_unknown": 1.0, "precision": "fp32", "threads": 1,
    "scheduler": "constant", "warmup": 0.0, "weight_decay": 0.0,
}  # fmt: skip


def main() -> None:
    options = parse()
    if not options.docs:
        for method in options.methods:
            found = {name: steps(method, name) for name in FAMILIES}
            record.keep(NAME, {**record.kept(NAME), method: found})
            print(method, found, flush=True)
    print(table("en"))
    if options.docs:
        record.into_docs("adaptation", table, "eight", "end eight")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=registry.names(Adaptation))
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def steps(method: str, family: str) -> dict[str, Any] | None:
    """Steps until a tenth, None where it isn't reached, and the least share of the first loss; None where it has no place."""
    runs = []
    for rate in RATES:
        losses = learn(method, family, rate)
        if losses is None:
            return None
        share = [loss / losses[0] for loss in losses]
        runs.append((next((step for step, one in enumerate(share) if one <= TENTH), None), min(share)))
    reached = [step for step, _ in runs if step is not None]
    return {"steps": min(reached, default=None), "least": min(least for _, least in runs)}


def learn(method: str, family: str, rate: float) -> Sequence[float] | None:
    """The loss of each step, the first being that of the model as it was; None where the method has no place."""
    name, design = FAMILIES[family]
    adaptation, objective = registry.get(Adaptation, method)(), registry.get(Objective, name)()
    rows = [objective.parse(row) for row in ROWS[name]]
    base, processor = load.base(design), load.processor(design, rows, objective.marks)
    objective = objective.initialize(rows, base)
    if not adaptation.supports(objective):
        return None
    torch.manual_seed(0)
    model = load.model(design, objective.head(), base, processor)
    head = heads.fresh(model)
    try:
        model = adaptation.initialize(processor).apply(model, objective)
    except ModelError:
        return None
    losses: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(
            model, objective, processor, TrainSpec(**TRAIN), train=rows, validation=None, head=head, learning_rate=rate,
            folder=Path(folder), seed=0, adaptation=adaptation,
        )  # fmt: skip
        for event in loop.events(resume=False):
            if event.kind == "step":
                losses.append(event.values["loss"])
                loop.stop = losses[-1] <= TENTH * losses[0]
    return losses


def table(language: str) -> str:
    kept: Mapping[str, Any] = record.kept(NAME)
    lines = [f"| `adapt` | {' | '.join(FAMILIES_IN[language])} |", f"|---|{'---:|' * len(FAMILIES)}"]
    for method in sorted(kept):
        cells = [cell(kept[method][name]) for name in FAMILIES]
        lines.append(f"| `{method}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    return str(found["steps"]) if found["steps"] is not None else f"> {STEPS} ({1 / found['least']:.1f} ×)"


FAMILIES_IN = {
    "en": ("encoder", "decoder", "encoder-decoder", "CNN", "ViT"),
    "zh": ("编码器", "解码器", "编码器-解码器", "CNN", "ViT"),
}

if __name__ == "__main__":
    main()
