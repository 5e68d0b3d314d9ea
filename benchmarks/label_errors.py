"""How many planted wrong labels the list finds, and how many of those it names were planted, in three real sets.

    python benchmarks/label_errors.py            the features of active_learning.py, which must have been computed
    python benchmarks/label_errors.py --docs     into docs/en/labelling.md and docs/zh/labelling.md

SHARE of the labels of up to ROWS training rows are replaced by another label drawn at random. Real errors, which every set has,
count as false alarms here, so that the precision is a lower bound.
"""

import argparse
import statistics
from pathlib import Path

import active_learning
import numpy
import record

from jishi.lifecycle import cross_validated, label_errors

NAME = "label_errors"
ROOT = Path(__file__).parent.parent
ROWS, SHARE, SEEDS, FOLDS = 3000, 0.05, 3, 5
HEADERS = {
    "en": (
        "set",
        "rows",
        "planted",
        "named",
        "of the planted found",
        "of the named planted",
        "of the first {n} named",
        "the probe confirms",
    ),
    "zh": (
        "数据",
        "行数",
        "植入错误",
        "列出",
        "植入错误的检出率",
        "列出者中的植入比例",
        "前 {n} 个中的植入比例",
        "探测器一致率",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "active_learning")
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    for name in active_learning.SETS if not options.docs else ():
        if any(word in name for word in options.only) and name not in record.kept(NAME):
            record.keep(NAME, {**record.kept(NAME), name: [judged(name, seed, options) for seed in range(SEEDS)]})
    print(table("en"))
    if options.docs:
        record.into_docs("labelling", table, "errors", "end errors")


def judged(name: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """One draw of wrong labels, and what became of it."""
    vectors, truth, _, _ = active_learning.features(name, options)
    rng = numpy.random.default_rng(seed)
    rows = rng.permutation(len(truth))[:ROWS]
    vectors, truth, count = vectors[rows], truth[rows], int(truth.max()) + 1
    planted = rng.permutation(len(rows))[: round(SHARE * len(rows))]
    given = truth.copy()
    given[planted] = (given[planted] + rng.integers(1, count, len(planted))) % count
    targets = numpy.eye(count, dtype=bool)[given]
    said = cross_validated.probabilities(
        vectors, targets, numpy.arange(len(rows)), several=False, folds=FOLDS, seed=seed
    )
    suspects = label_errors.suspects(targets, said, several=False)
    hits = numpy.isin(suspects, planted)
    return {
        "rows": len(rows), "planted": len(planted), "named": len(suspects), "recall": float(hits.sum() / len(planted)),
        "precision": float(hits.mean()), "first": float(hits[: len(planted)].mean()),
        "confirmed": float((said.argmax(1) == given).mean()),
    }  # fmt: skip


def table(language: str) -> str:
    """The means over the draws, as Markdown."""
    head = " | ".join(HEADERS[language]).replace("{n}", "n")
    lines = [f"| {head} |", "|---|" + "---:|" * (len(HEADERS[language]) - 1)]
    for name, runs in record.kept(NAME).items():
        means = {key: statistics.mean(float(run[key]) for run in runs) for key in runs[0]}
        cells = [f"{means[key]:,.0f}" for key in ("rows", "planted", "named")]
        cells += [f"{means[key]:.0%}" for key in ("recall", "precision", "first", "confirmed")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
