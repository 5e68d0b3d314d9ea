"""Every way to adapt, beside full fine-tuning: the same rows, the same epochs, each at its own default rate.

    python benchmarks/adaptation.py                            every method on every set; kept results are not run again
    python benchmarks/adaptation.py --only "sick"              the sets whose name contains one of the words
    python benchmarks/adaptation.py --methods lora ia3 --seeds 1
    python benchmarks/adaptation.py --docs                     what is kept, into docs/en/adaptation.md and docs/zh/adaptation.md

Where a set's own case in `cases/` says how full fine-tuning does best there, `full` is run at that rate; a head fitted first is
fitted first for all.
"""

import argparse
import importlib
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import quality
import record
from cases.case import Case

from jishi.core import registry
from jishi.core.contracts import Adaptation

ROOT = Path(__file__).parent.parent
NAME = "adaptation"  # its file of results
OWN = ("learning_rate",)  # of full fine-tuning alone
SETS: Mapping[str, tuple[str, str]] = {  # set → the file of its case, and the case that is full fine-tuning
    "banking77 10 a class": ("text.text_classification", "banking77 10 a class full"),
    "banking77 all": ("text.text_classification", "banking77 all full"),
    "shopping_reviews_zh 128": ("text.text_classification", "shopping_reviews_zh 128 full"),
    "shopping_reviews_zh all": ("text.text_classification", "shopping_reviews_zh all full"),
    "sick": ("text.text_classification", "sick all"),
    "uner_gsdsimp_zh": ("text.token_classification", "uner_gsdsimp_zh 1000 rows argmax"),
    "sign_digits": ("image.image_classification", "sign_digits full"),
}
HEADERS = {
    "en": "set | `adapt` | score | weights that learn | share | training, s | peak memory | seeds",
    "zh": "数据 | `adapt` | 得分 | 参与学习的参数 | 占比 | 训练秒数 | 峰值内存 | 种子数",
}


def main() -> None:
    options = parse()
    sets = [name for name in SETS if any(word in name for word in options.only)]
    if not options.docs:
        for seed in range(options.seeds):  # every method once before any a second time
            for name in sets:
                for method in options.methods:
                    quality.run(NAME, case(name, method), seed, options)
    print(table(sets, "en"))
    if options.docs:
        record.into_docs("adaptation", lambda language: table(list(SETS), language))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--methods", nargs="*", default=registry.names(Adaptation))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "adaptation")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def case(name: str, method: str) -> Case:
    """A set's case with another way to adapt. Raises KeyError where its file has no such case."""
    file, plain = SETS[name]
    cases = {one.name: one for one in importlib.import_module(f"cases.{file}").CASES}
    found = cases[plain]
    settings: dict[str, Any] = dict(found.settings)
    if registry.get(Adaptation, method) is not registry.get(Adaptation, str(settings.get("adapt", "full"))):
        train = {key: value for key, value in settings["train"].items() if key not in OWN}
        settings = {**settings, "adapt": method, "train": train}
    return Case(f"{name} {method}", found.data, settings, found.train_rows, found.seeds, found.derive)


def table(sets: Sequence[str], language: str) -> str:
    """What is kept of the sets, the best first, as Markdown."""
    kept = quality.results(NAME)
    lines = [f"| {HEADERS[language]} |", "|---|---|" + "---:|" * (HEADERS[language].count("|") - 1)]
    for name in sets:
        rows = [row(name, method, kept) for method in registry.names(Adaptation)]
        lines += [line for _, line in sorted((found for found in rows if found), reverse=True)]
    return "\n".join(lines)


def row(name: str, method: str, kept: Mapping[str, Any]) -> tuple[float, str] | None:
    """The mean score and the line of a method; None where nothing is kept."""
    runs = list(kept.get(f"{name} {method}", {}).values())
    if not runs:
        return None
    scores = [run["scores"][run["metric"]] for run in runs]
    costs = [run["resources"] for run in runs]
    learns, whole = (costs[0][key] for key in ("trainable_parameters", "parameters"))
    seconds, memory = (
        statistics.median(cost[key] for cost in costs) for key in ("training_seconds", "training_memory")
    )
    cells = [
        name, f"`{method}`", record.spread(scores), f"{learns:,}", f"{learns / whole:.2%}", f"{seconds:.0f}",
        f"{memory / 2**30:.2f} GiB", str(len(runs)),
    ]  # fmt: skip
    return statistics.mean(scores), f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
