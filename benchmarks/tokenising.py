"""Tokenising: `tokenizers` beside what Jishi uses, and rows a second of encoding for training, the first time and the second.

    python benchmarks/tokenising.py                 three rounds in turns, 1,500 texts of each corpus

The first table: MB of UTF-8 a CPU second of one thread in a fresh process (cold: no word seen before), loading left out; BPE is a
byte-level one of 32,000 learnt from the same corpora. The second: rows a CPU second of calling the tokenizer row by row, then of
`Encoded` with an empty cache, then with what that left there. Medians over the rounds.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from jishi.models import fast_tokenizer, load
from jishi.models.spec import ModelSpec
from jishi.tasks.text_classification import TextClassification
from jishi.training.features import Encoded

CORPORA = ("corpus_en", "corpus_zh")
TOKENIZERS = {"BPE 32k": "bpe", "MiniLM WordPiece": "minilm", "e5 Unigram": "e5-small"}
SETS = {"banking77": "minilm", "shopping_reviews_zh": "e5-small"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--folder", type=Path, help="where the BPE is kept")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps((rows if options.run[0] == "rows" else megabytes)(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.folder = options.folder or Path(folder)
        if not (options.folder / "bpe.json").exists():
            bpe, texts = ByteLevelBPETokenizer(), (text for name in CORPORA for text in read(options.data, name, 4000))
            bpe.train_from_iterator(texts, 32_000, show_progress=False)
            bpe.save(str(options.folder / "bpe.json"))
        print("| tokenizer | corpus | `tokenizers` | Jishi | ratio | identical |\n|---|---|---:|---:|---:|---:|")
        for name, key in TOKENIZERS.items():
            for corpus in CORPORA:
                plain, fast = turns(options, [("plain", key, corpus), ("fast", key, corpus)])
                same = statistics.mean(left == right for left, right in zip(plain["ids"], fast["ids"], strict=True))
                ratio = f"{fast['pace'] / plain['pace']:.1f} | {same:.2%}"
                print(f"| {name} | {corpus} | {plain['pace']:.2f} | {fast['pace']:.2f} | {ratio} |", flush=True)
        print("\n| rows | tokenizer | called rows/s | first time | second time |\n|---|---|---:|---:|---:|")
        for corpus, key in SETS.items():
            (found,) = turns(options, [("rows", key, corpus)])
            print(
                f"| {corpus} | {key} | {found['called']:.0f} | {found['pace']:.0f} | {found['again']:.0f} |", flush=True
            )


def turns(options: argparse.Namespace, runs: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Each measurement in a process of its own, one after the other, then all again; numbers are medians."""
    one_thread = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    given = ["--texts", str(options.texts), "--data", str(options.data), "--folder", str(options.folder)]
    found: list[list[dict[str, Any]]] = [[] for _ in runs]
    for _ in range(options.rounds):
        for told, run in zip(found, runs, strict=True):
            command = [sys.executable, __file__, "--run", *run, *given]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, **one_thread})
            told.append(json.loads(done.stdout.splitlines()[-1]))
    numbers = [key for key in found[0][0] if key != "ids"]
    return [{**told[0], **{key: statistics.median(one[key] for one in told) for key in numbers}} for told in found]


def read(data: Path, name: str, count: int) -> list[str]:
    """As many texts of a set, spread over all of it."""
    files = sorted(data.joinpath(name).glob("train.jsonl.gz")) or sorted(data.joinpath(name).glob("*.jsonl.gz"))
    found = [json.loads(line)["text"] for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    return found[:: max(1, len(found) // count)][:count]


def loaded(options: argparse.Namespace, key: str) -> Any:
    file = options.folder / f"{key}.json"
    return PreTrainedTokenizerFast(tokenizer_file=str(file)) if file.exists() else load.processor(ModelSpec(key))


def megabytes(options: argparse.Namespace) -> dict[str, Any]:
    way, key, corpus = options.run
    texts, processor = read(options.data, corpus, options.texts), loaded(options, key)
    processor.backend_tokenizer.no_truncation()
    backend = ((fast_tokenizer.faster(processor) if way == "fast" else None) or processor).backend_tokenizer
    start = time.process_time()
    ids = [one.ids for one in (map(backend.encode, texts) if way == "fast" else backend.encode_batch(texts))]
    pace = sum(len(text.encode()) for text in texts) / 1e6 / (time.process_time() - start)
    return {"pace": pace, "ids": [hash(tuple(one)) for one in ids]}


def rows(options: argparse.Namespace) -> dict[str, Any]:
    _, key, corpus = options.run
    given, paces = [{"text": text} for text in read(options.data, corpus, 12_000)], []
    task, processor = TextClassification(max_length=128), loaded(options, key)
    with tempfile.TemporaryDirectory() as cache:
        for encode in (lambda: [processor(row["text"], truncation=True, max_length=128) for row in given],
                       *[lambda: Encoded(task, given, processor)] * 2):  # fmt: skip
            start = time.process_time()
            encode()
            paces.append(len(given) / (time.process_time() - start))
            os.environ["JISHI_CACHE"] = cache  # where the base was looked for is no longer needed
    return dict(zip(("called", "pace", "again"), paces, strict=True))


if __name__ == "__main__":
    main()
