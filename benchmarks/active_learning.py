"""Accuracy against number of labels: every way to choose rows beside random choice, on the features of a frozen model.

    python benchmarks/active_learning.py                     every set, way and seed; kept results are not run again
    python benchmarks/active_learning.py --only banking77 --by margin badge --seeds 1
    python benchmarks/active_learning.py --docs              what is kept, into docs/en/labelling.md and docs/zh/labelling.md

A round: logistic regression is fitted on the labels there are, judged on the whole test set, and says which rows to ask for next.
The first labels are drawn at random, the same ones for every way. Features are computed once, from up to POOL training rows.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import record
from sklearn.linear_model import LogisticRegression

from jishi.core import registry
from jishi.core.contracts import Acquisition, Task, Unlabelled
from jishi.data.columns import inputs, resolve
from jishi.data.rows import read
from jishi.lifecycle import unlabelled
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor

ROOT = Path(__file__).parent.parent
NAME = "active_learning"
POOL = 5000
PASSES_DROP = 0.1  # the dropout rate of our heads
BASE = "at-random"
HEADERS = {
    "en": (
        "set",
        "labels",
        "`by`",
        "accuracy with half of them",
        "with all",
        "labels to random's half",
        "labels to random's all",
    ),
    "zh": ("数据", "标注数", "`by`", "用一半标注的准确率", "用全部标注", "达到随机一半所需", "达到随机全部所需"),
}


@dataclass(frozen=True)
class Set:
    """A data set: its task, the frozen model, labels asked for in the first and in each further round, and in all, and how strong
    the head may grow (scikit-learn's C on standardised features), chosen by random draws of training rows alone."""

    task: str
    model: str
    step: int
    budget: int
    strength: float


SETS: Mapping[str, Set] = {  # as many labels as random choice still learns from
    "banking77": Set("text-classification", "e5-small", 100, 2000, 0.1),
    "shopping_reviews_zh": Set("text-classification", "e5-small", 10, 200, 0.003),
    "sign_digits": Set("image-classification", "efficientnet-lite0", 20, 600, 0.03),
}


def main() -> None:
    options = parse()
    ways = [BASE, *(name for name in options.by if name != BASE)]
    kept = record.kept(NAME)
    for name in [name for name in SETS if any(word in name for word in options.only)] if not options.docs else ():
        known = None
        for seed in range(options.seeds):
            for by in ways:
                if str(seed) in kept.get(name, {}).get(by, {}):
                    continue
                known = known or features(name, options)
                curve = rounds(SETS[name], by, seed, *known)
                kept.setdefault(name, {}).setdefault(by, {})[str(seed)] = curve
                record.keep(NAME, kept)
                print(name, by, seed, curve[len(curve) // 2 - 1], curve[-1], flush=True)
    print(table(kept, "en"))
    if options.docs:
        record.into_docs("labelling", lambda language: table(kept, language))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--by", nargs="*", default=registry.names(Acquisition))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "active_learning")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def features(name: str, options: argparse.Namespace) -> tuple[numpy.ndarray, ...]:
    """Standardised features and labels of the pool and of the test rows, computed once."""
    file = options.out / f"{name}.npz"
    if not file.exists():
        one = SETS[name]
        parts = {part: rows(options.data / name, part, one.task) for part in ("train", "test")}
        parts["train"] = parts["train"][:POOL]
        spec = ModelSpec(one.model)
        base, task = load.base(spec), registry.get(Task, one.task)()
        processor = load.processor(spec)
        task = task.initialize(parts["train"], base)
        predictor = Predictor(load.model(spec, task.head(), base, processor), task, processor, {})
        found = {}
        for part, given in parts.items():
            found[part] = unlabelled.ask(predictor, given)["vectors"]
            found[f"{part}_labels"] = numpy.array([task.labels.index(row["label"]) for row in given])
        options.out.mkdir(parents=True, exist_ok=True)
        numpy.savez(file, **found)
    found = dict(numpy.load(file))
    mean, deviation = found["train"].mean(0), found["train"].std(0)
    still = deviation <= 1e-3 * numpy.median(deviation)
    scale = numpy.where(still, 0, 1 / numpy.where(still, 1, deviation))
    pool, test = ((found[part] - mean) * scale for part in ("train", "test"))
    return pool, found["train_labels"], test, found["test_labels"]


def rows(folder: Path, part: str, task: str) -> list[Any]:
    file = next(folder.glob(f"{part}.jsonl*"))
    kind = registry.get(Task, task)()
    binary = [column for column in inputs(kind) if column.modality.binary]
    return [kind.parse(resolve(dict(raw), binary, folder)) for _, raw in read(file)]


def rounds(
    one: Set,
    by: str,
    seed: int,
    pool: numpy.ndarray,
    truth: numpy.ndarray,
    test: numpy.ndarray,
    held_out: numpy.ndarray,
) -> list[tuple[int, float]]:
    """(labels, test accuracy) after each round."""
    way, rng = registry.get(Acquisition, by)(), numpy.random.default_rng(seed)
    classes = int(truth.max()) + 1
    have = rng.permutation(len(pool))[: one.step]
    curve = []
    while True:
        head = LogisticRegression(C=one.strength, max_iter=500).fit(pool[have], truth[have])
        curve.append((len(have), float((head.predict(test) == held_out).mean())))
        if len(have) >= one.budget:
            return curve
        left = numpy.setdiff1d(numpy.arange(len(pool)), have)
        said = Unlabelled(
            _scores(head, pool[left], classes), vectors=pool[left], labelled=pool[have],
            passes=_passes(head, pool[left], classes, way.passes, rng) if way.passes else None,
        )  # fmt: skip
        have = numpy.concatenate([have, left[way.choose(said, one.step, rng)]])


def _scores(head: LogisticRegression, given: numpy.ndarray, classes: int) -> numpy.ndarray:
    """(N, K) of all labels; those that no row has yet are at 0."""
    found = numpy.zeros((len(given), classes))
    found[:, head.classes_] = head.predict_proba(given)
    return found


def _passes(
    head: LogisticRegression, given: numpy.ndarray, classes: int, count: int, rng: numpy.random.Generator
) -> numpy.ndarray:
    """(P, N, K), each with other features dropped."""
    keep = 1 - PASSES_DROP
    return numpy.stack([_scores(head, given * (rng.random(given.shape) < keep) / keep, classes) for _ in range(count)])


def table(kept: Mapping[str, Any], language: str) -> str:
    """What is kept, as Markdown: accuracies, and how many labels a way takes to where random choice comes with half and all."""
    lines = [f"| {' | '.join(HEADERS[language])} |", "|---|---:|---|" + "---:|" * (len(HEADERS[language]) - 3)]
    for name in [name for name in SETS if name in kept]:
        ways = kept[name]
        plain = mean(ways[BASE])
        for by in sorted(ways, key=lambda by: (by != BASE, -mean(ways[by])[-1][1])):
            curves = list(ways[by].values())
            own, half = mean(ways[by]), len(plain) // 2 - 1
            cells = [
                name,
                str(own[-1][0]),
                f"`{by}`",
                *(record.spread([curve[at][1] for curve in curves]) for at in (half, -1)),
            ]
            cells += [share(own, plain[at]) for at in (half, -1)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def mean(curves: Mapping[str, Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """The mean curve over the seeds."""
    return [
        (points[0][0], statistics.mean(score for _, score in points)) for points in zip(*curves.values(), strict=True)
    ]


def share(own: Sequence[tuple[int, float]], aim: tuple[int, float]) -> str:
    """The labels at which a curve first reaches an accuracy, on a straight line between rounds, as a share of the aim's."""
    before = None
    for labels, score in own:
        if score >= aim[1]:
            if before is not None:
                labels = before[0] + (labels - before[0]) * (aim[1] - before[1]) / (score - before[1])
            return f"{labels / aim[0]:.0%}"
        before = (labels, score)
    return "–"


if __name__ == "__main__":
    main()
