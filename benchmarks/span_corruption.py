"""Does pretraining by span-corruption lift a translator? Classical into modern Chinese, from nothing and from such a base.

    python benchmarks/span_corruption.py                       pretrains once, fine-tunes both, seed by seed
    python benchmarks/span_corruption.py --table               the table of what has been run so far

Pretrained on passages of classical books and the modern sides of the training pairs; what shares ten characters with a source
of a dev or test row is left out. Fine-tuned on the same pairs in the same way and with the same vocabulary, the base's.
Judged on dev rows; no test row is looked at. `--more` trains the one from nothing for as many epochs more, so that the time of
pretraining is in its training too.
"""

import argparse
import gzip
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "span_corruption.json"
PASSAGE = 60  # characters of a passage at most
SHARED = 10  # characters in a row that it may not share with a judged source
SENTENCE = re.compile(r"[^。！？；\n]+[。！？；]?")


def main() -> None:
    options = parse()
    if not options.table:
        texts = write_texts(options)
        names = ("size", "passages", "pairs", "pretraining", "judged", "rate", "writes", "share")
        settings = {name: getattr(options, name) for name in names}
        base = options.out / "base"
        if not (base / "run" / "base").is_dir():
            jishi("pretrain", base, pretraining(texts, options))
        record = json.loads((base / "run" / "base" / "pretraining.json").read_text(encoding="utf-8"))
        for seed in range(options.seeds):
            for name, epochs in (("nothing", options.epochs), ("base", options.epochs), ("longer", options.more)):
                folder = options.out / f"{name}-{seed}"
                if epochs and not (folder / "run" / "bundle").is_dir():
                    jishi("finetune", folder, tuning(base / "run" / "base", name == "base", epochs, seed, options))
                    keep(name, seed, folder / "run", {**settings, "epochs": epochs, "pretrained": brief(record)})
    print(table())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--passages", type=int, default=12_000, help="classical ones, drawn by chance")
    parser.add_argument("--pairs", type=int, default=3_000, help="to fine-tune on, drawn by chance")
    parser.add_argument("--judged", type=int, default=200, help="dev rows")
    parser.add_argument("--pretraining", type=float, default=1, help="epochs")
    parser.add_argument("--writes", default="spans", choices=("spans", "whole"), help="what pretraining writes")
    parser.add_argument("--share", type=float, default=0.15, help="of the tokens taken out")
    parser.add_argument("--epochs", type=float, default=2, help="of fine-tuning")
    parser.add_argument("--more", type=float, default=0, help="epochs of a third run, from nothing")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate of all runs")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "span_corruption")
    parser.add_argument("--table", action="store_true")
    return parser.parse_args()


def write_texts(options: argparse.Namespace) -> Path:
    """The texts to pretrain on, and in a file beside them how many of each kind."""
    file = options.out / "texts.jsonl"
    if file.is_file():
        return file
    pairs = options.data / "classical_modern_zh"
    judged = [row["classical"] for part in ("dev.jsonl", "test.jsonl.gz") for row in rows(pairs / part)]
    known = {text[place : place + SHARED] for text in judged for place in range(max(1, len(text) - SHARED + 1))}
    classical = rows(options.data / "corpus_zh" / "classical.jsonl.gz")
    books = list(dict.fromkeys(text for row in classical for text in passages(row["text"])))
    apart = [text for text in books if not any(text[place : place + SHARED] in known for place in range(len(text)))]
    modern = list(dict.fromkeys(row["modern"] for row in rows(pairs / "train.jsonl.gz")))
    chosen = random.Random(0).sample(apart, min(options.passages, len(apart)))
    options.out.mkdir(parents=True, exist_ok=True)
    counts = {"passages": len(books), "apart": len(apart), "taken": len(chosen), "modern": len(modern)}
    print(counts, flush=True)
    file.write_text(
        "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in [*chosen, *modern]), encoding="utf-8"
    )
    return file


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def passages(text: str) -> Iterator[str]:
    """Whole sentences as long as they fit."""
    passage = ""
    for sentence in SENTENCE.findall(text):
        if passage and len(passage) + len(sentence) > PASSAGE:
            yield passage
            passage = ""
        passage = (passage + sentence.strip())[:PASSAGE]
    if passage:
        yield passage


def pretraining(texts: Path, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "data": {"train": str(texts), "split": [0.99, 0.01, 0]},
        "model": {"name": "transformer-encoder-decoder", "size": options.size, "dropout": 0.1},
        "objective": {"name": "span-corruption", "max_length": 64, "writes": options.writes, "share": options.share},
        "train": {"epochs": options.pretraining, "batch_size": 32, "learning_rate": options.rate, "threads": 1},
    }


def tuning(base: Path, begun: bool, epochs: float, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    pairs, dropout = options.data / "classical_modern_zh", 0.1
    fresh = {"name": "transformer-encoder-decoder", "size": options.size, "dropout": dropout, "tokenizer": str(base)}
    return {
        "data": {
            "train": str(pairs / "train.jsonl.gz"), "validation": str(pairs / "dev.jsonl"), "test": str(pairs / "dev.jsonl"),
            "columns": {"source": "classical", "target": "modern"}, "train_rows": options.pairs,
            "validation_rows": options.judged, "test_rows": options.judged,
        },
        "model": {"name": str(base), "dropout": dropout} if begun else fresh,
        "task": {
            "name": "translation", "max_length": 64,
            "decoding": {"method": "greedy", "max_new_tokens": 64, "no_repeat_ngram": 3},
        },
        "train": {"epochs": epochs, "batch_size": 32, "learning_rate": options.rate, "threads": 1},
        "seed": seed,
    }  # fmt: skip


def jishi(verb: str, folder: Path, spec: dict[str, Any]) -> None:
    """One run in a process of its own; its words stand in a log beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "spec.yaml"
    file.write_text(json.dumps({**spec, "out": str(folder / "run")}), encoding="utf-8")  # JSON is YAML
    with (folder / "log").open("w") as log:
        done = subprocess.run([sys.executable, "-m", "jishi", verb, str(file)], stdout=log, stderr=log)
    if done.returncode:
        sys.exit(f"{verb} failed, see {folder / 'log'}")


def brief(record: dict[str, Any]) -> dict[str, Any]:
    names = ("loss", "tokens", "resources", "data")
    return {name: record[name] for name in names}


def keep(name: str, seed: int, run: Path, settings: dict[str, Any]) -> None:
    """Figures of a complete run: no row of the data."""
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    status = json.loads((run / "run.json").read_text(encoding="utf-8"))
    events = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    losses = [event["loss"] for event in events if event["kind"] == "validation"]
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    kept.setdefault(name, {})[str(seed)] = {
        "settings": settings,
        "losses": losses,
        "scores": evaluation["scores"],
        "rivals": {rival: entry["scores"] for rival, entry in evaluation["rivals"].items()},
        "resources": status["resources"],
    }
    RESULTS.write_text(json.dumps(kept, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def table() -> str:
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    head = "| begun from | seed | epochs | dev loss | chrF on dev rows | BLEU | training, s |"
    lines = [head, "|---|" + "---:|" * 6]
    for name, runs in kept.items():
        for seed, run in runs.items():
            chrf = run["scores"]["chrf"]
            cells = (
                name, seed, run["settings"]["epochs"], f"{min(run['losses'], default=float('nan')):.3f}",
                f"{chrf['value']:.3f} [{chrf['low']:.3f}, {chrf['high']:.3f}]", f"{run['scores']['bleu']['value']:.3f}",
                f"{run['resources']['training_seconds']:.0f}",
            )  # fmt: skip
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
