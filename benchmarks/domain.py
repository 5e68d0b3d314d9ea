"""A base goes on with texts of a domain: what it learns of them, and what replay keeps of what it knew (arXiv:1811.11682).

    python benchmarks/domain.py                      every share, some ten minutes each on one core
    python benchmarks/domain.py --shares 0 0.1 --passages 200
    python benchmarks/domain.py --table              the table of what has been run so far

smollm2-135m, which was trained on English, reads Chinese laws; replayed are passages of English Wikipedia. Others of both are
held out; of a document the beginning alone is taken, so that no two parts share one. The learning rate was not searched for.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jishi

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "domain.json"
TEXTS = {"laws": ("corpus_zh/laws.jsonl.gz", 200), "wikipedia": ("corpus_en/wikipedia.jsonl.gz", 800)}  # characters
HELD_OUT = 80  # rows of each


def main() -> None:
    options = parse()
    if not options.table:
        files = {name: write(options, name) for name in TEXTS}
        for share in options.shares:
            keep(f"{options.model} {share:g}", run(share, files, options))
    print(table())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--shares", nargs="*", type=float, default=[0, 0.1, 0.3])
    parser.add_argument("--passages", type=int, default=500, help="of the domain, to learn from")
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "domain")
    parser.add_argument("--table", action="store_true")
    return parser.parse_args()


def write(options: argparse.Namespace, name: str) -> Path:
    """As many passages as are wanted at most, the beginning of a document each."""
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"{name}.jsonl"
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in beginnings(options, name)]
    wanted = 2 * options.passages + HELD_OUT
    file.write_text("".join(lines[:: max(1, len(lines) // wanted)]), encoding="utf-8")
    return file


def beginnings(options: argparse.Namespace, name: str) -> Iterator[str]:
    path, characters = TEXTS[name]
    with gzip.open(options.data / path, "rt", encoding="utf-8") as file:
        for text in (json.loads(line)["text"] for line in file):
            if len(text) >= characters:
                yield text[:characters]


def run(share: float, files: dict[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    def data(name: str) -> dict[str, Any]:
        return {
            "train": str(files[name]), "split": (0.8, 0.2, 0), "train_rows": options.passages, "validation_rows": HELD_OUT
        }  # fmt: skip

    made = jishi.pretrain(
        data=data("laws"), replay={"data": data("wikipedia"), "share": share}, model=options.model,
        objective={"name": "causal-lm", "max_length": 448},
        train={
            "epochs": 1, "batch_tokens": 4096, "learning_rate": options.rate, "warmup": 0.1, "threads": options.threads,
            "validate_every": 10**6,
        },
        out=str(options.out / f"share-{share:g}"), resume="never",
    )  # fmt: skip
    record = made.record
    return {
        "share": share, "laws": record["loss"], "wikipedia": record["replayed"]["loss"],
        "rows": [options.passages, record["replayed"]["rows"]], "tokens": record["tokens"],
        "seconds": record["resources"]["training_seconds"], "memory": record["resources"]["peak_memory"],
    }  # fmt: skip


def keep(name: str, found: dict[str, Any]) -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    RESULTS.write_text(json.dumps({**kept, name: found}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def table() -> str:
    """Losses in nats a token, before and after, on rows held out."""
    lines = ["| replayed | laws | Wikipedia | tokens | seconds |", "|---:|---:|---:|---:|---:|"]
    for found in json.loads(RESULTS.read_text(encoding="utf-8")).values():
        laws, known = (
            f"{found[name]['untrained']:.2f} → {found[name]['trained']:.2f}" for name in ("laws", "wikipedia")
        )
        lines.append(f"| {found['share']:.0%} | {laws} | {known} | {found['tokens']:,} | {found['seconds']:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
