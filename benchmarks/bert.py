"""An encoder from nothing by BERT's objective and more, and what that is worth: fine-tuned beside the same model untrained.

    python benchmarks/bert.py                      about two hours on two cores
    python benchmarks/bert.py --tokens 1000000     the tokens it is pretrained on: the dial of time
    python benchmarks/bert.py --seeds 1            of fine-tuning

Texts: laws, classical prose, novels, poems, manuals and a little Wikipedia in Chinese, Wikipedia, manuals, speeches and plays in
English; cleaned, cut into passages, a vocabulary of 16,000 learnt from them. In one pass the model guesses hidden words
(masked-lm), tells whether the second half of a passage belongs to the first (next-sentence), and from which source it comes
(text-classification). Linear probes on labelled sets, judged on their dev parts, are the curve; the table is of the test parts.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jishi

ROOT = Path(__file__).parent.parent
SOURCES = {  # language → (characters of a passage, sources)
    "zh": (160, ("laws", "classical", "novels", "poetry", "software_docs", "wikipedia_sample")),
    "en": (500, ("wikipedia", "software_docs", "speeches_plays")),
}
LENGTH = 128  # tokens
VOCABULARY = 16_000
WEIGHTS = {"masked-lm": 1.0, "next-sentence": 0.5, "text-classification": 0.2}
SETS = ("shopping_reviews_zh", "csl_category_zh", "banking77")
ROWS = 2_000  # that each is fine-tuned on
BATCH = 8_192  # tokens
TOKENS = 100  # of a passage, in the mean, or more: rows that would not be read are not drawn
LOOKS = 10  # probes, and validations


def main() -> None:
    options = parse()
    corpus = texts(options.data, options.out)
    jishi.tokenizer(
        data=str(corpus), out=str(options.out / "tokenizer"), kind="wordpiece", size=VOCABULARY, lowercase=True
    )
    design = {
        "name": options.design,
        "size": options.size,
        "tokenizer": str(options.out / "tokenizer"),
        "pooling": options.pooling,
    }
    run = pretrained(options, corpus, design)
    told(run.record)
    print("\n| set | tf-idf | untrained | pretrained |\n|---|---:|---:|---:|")
    for name in SETS:
        scores: dict[str, list[float]] = {"tf-idf": [], "untrained": [], "pretrained": []}
        for seed in range(options.seeds):
            for way, model in (("untrained", design), ("pretrained", {"name": str(run.base)})):
                found = finetuned(options, name, way, {**model, "pooling": "mean"}, seed)
                scores[way].append(found["scores"][found["metric"]]["value"])
            scores["tf-idf"].append(found["rivals"][found["baseline"]]["scores"][found["metric"]]["value"])
        print(f"| {name} | {' | '.join(map(spread, scores.values()))} |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=30_000_000)
    parser.add_argument("--design", default="modernbert")
    parser.add_argument("--size", default="mini")
    parser.add_argument("--unit", default="word", choices=("token", "word", "span"), help="what masked-lm hides")
    parser.add_argument("--share", type=float, default=0.15, help="of the tokens, to guess")
    parser.add_argument("--parts", nargs="+", default=list(WEIGHTS), choices=list(WEIGHTS))
    parser.add_argument(
        "--pooling", default="mean", choices=("cls", "mean"), help="what tells a sentence in pretraining"
    )
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "bert")
    return parser.parse_args()


def texts(data: Path, out: Path) -> Path:
    """The passages of both languages in one file, each with its source; made once."""
    parts = []
    for language, (characters, names) in SOURCES.items():
        sources = [
            {"path": str(data / f"corpus_{language}" / f"{name}.jsonl.gz"), "label": f"{language} {name}"}
            for name in names
        ]
        steps = ["normalise", "deduplicate", {"name": "split-passages", "characters": characters}]
        made = jishi.prepare(corpus={"sources": sources, "operations": steps}, out=str(out / language))
        parts.append(made.path / "train.jsonl")
    whole = out / "passages.jsonl"
    whole.write_text("".join(part.read_text(encoding="utf-8") for part in parts), encoding="utf-8")
    return whole


def pretrained(options: argparse.Namespace, corpus: Path, design: Mapping[str, Any]) -> Any:
    """The run; one that was cut off goes on."""
    settings = {"masked-lm": {"unit": options.unit, "share": options.share}}
    parts = [
        {"objective": {"name": name, "max_length": LENGTH, **settings.get(name, {})}, "weight": weight}
        for name, weight in WEIGHTS.items()
        if name in options.parts
    ]
    steps = options.tokens // BATCH
    train = {
        "max_steps": steps, "epochs": 100, "batch_tokens": BATCH, "learning_rate": options.rate, "warmup": 0.05,
        "validate_every": max(1, steps // LOOKS), **({"threads": options.threads} if options.threads else {}),
    }  # fmt: skip
    probes = [
        {
            "data": {"train": str(part(options.data, name, "train")), "test": str(part(options.data, name, "dev")),
                     "train_rows": ROWS, "test_rows": 500},
            "task": {"name": "text-classification", "max_length": LENGTH}, "every": max(1, steps // LOOKS), "name": name,
        }
        for name in SETS
    ]  # fmt: skip
    return jishi.pretrain(
        data={
            "train": str(corpus), "split": (0.98, 0.02, 0), "train_rows": options.tokens // TOKENS, "validation_rows": 1_000,
            "on_bad_row": "skip",
        },
        model=design, objective={"name": "weighted", "parts": parts}, train=train, probes=probes,
        out=str(options.out / f"pretrain-{options.design}-{options.size}-{options.tokens}"), listen=hear,
    )  # fmt: skip


def part(data: Path, name: str, which: str) -> Path:
    return next(iter((data / name).glob(f"{which}.jsonl*")))


def finetuned(options: argparse.Namespace, name: str, way: str, model: Any, seed: int) -> Mapping[str, Any]:
    """The evaluation on the official test part."""
    data = {"train": str(options.data / name), "train_rows": ROWS, "validation_rows": 256, "seed": seed}
    run = jishi.finetune(
        data=data, model=model, task={"name": "text-classification", "max_length": LENGTH}, seed=seed,
        train={"epochs": 6, "batch_size": 32, "learning_rate": 3e-4, "validate_every": 10**6,
               **({"threads": options.threads} if options.threads else {})},
        out=str(options.out / f"{name}-{way}-{options.tokens}-{seed}"), resume="never",
    )  # fmt: skip
    return run.evaluation


def spread(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def told(record: Mapping[str, Any]) -> None:
    """What pretraining came to: the loss of every part, and the probes by step."""
    resources = record["resources"]
    print(
        f"{resources['parameters']:,} parameters, {resources['steps']:,} steps, {resources['training_seconds']:.0f} s"
    )
    for name, loss in record["parts"].items():
        print(f"{name}: {loss['untrained']:.3f} → {loss['trained']:.3f}")
    for name, probe in record["probes"].items():
        curve = ", ".join(f"{step} {score:.3f}" for step, score in probe["curve"])
        print(f"probe {name} (plain baseline {probe['baseline']:.3f}): {curve}", flush=True)


def hear(event: Any) -> None:
    if event.kind in ("start", "validation", "probe", "end") or event.step % 100 == 0:
        print(event.kind, event.step, json.dumps(event.values, ensure_ascii=False), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
