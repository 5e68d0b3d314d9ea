"""Replies found for what a user says, in real dialogues: by words, by vectors before and after training, and by both.

    python benchmarks/retrieval.py                    both sets
    python benchmarks/retrieval.py --only chatterbot  the sets whose name contains the word

The query is a user's turn, alone; the passages are all distinct replies of the test part, so that equal replies are one, and a
turn that was answered in several ways has several right ones. BM25 cuts Chinese by jieba; `e5-small` is taken as it comes, then
tuned with in-batch contrast on pairs of the training part; `hybrid` is the rank fusion of BM25 and the tuned vectors.

The table is printed in Markdown: nDCG@10, the mean reciprocal rank (of the first 100), recall@1 and @10, and the seconds that
100 queries take, their vectors included and those of the passages left out. What is trained is kept in `--out`.
Data: the folder `--data` (default: shared/data beside the project).
"""

import argparse
import gzip
import hashlib
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jishi
from jishi.core import registry
from jishi.core.contracts import Task
from jishi.lifecycle.judge import judged
from jishi.lifecycle.search import By, Searcher, embed
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor
from jishi.retrieval.found import Found
from jishi.retrieval.index import Index

ROOT = Path(__file__).parent.parent
BASE = {"name": "e5-small", "vocabulary": "scripts"}
DEEP = 100  # passages looked at
HEADERS = "| set | search | nDCG@10 | MRR | recall@1 | recall@10 | queries | passages | s per 100 queries |"

Pairs = list[tuple[str, str]]  # what was said, what was replied


@dataclass(frozen=True)
class Case:
    """A set: `read` gives the pairs of training and test."""

    name: str
    read: Callable[[Path], tuple[Pairs, Pairs]]
    epochs: int


def chatterbot(folder: Path) -> tuple[Pairs, Pairs]:
    """Small talk and trivia, Chinese and English. There is no official split: a quarter of what is first said, by its digest."""
    parts: tuple[Pairs, Pairs] = ([], [])
    for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines():
        turns = json.loads(line)["turns"]
        test = hashlib.md5(turns[0].encode(), usedforsecurity=False).digest()[0] < 64
        parts[test].extend(zip(turns[::2], turns[1::2], strict=False))
    return parts


def crosswoz(folder: Path) -> tuple[Pairs, Pairs]:
    """A service for tourists, Chinese, the official parts."""
    parts: tuple[Pairs, Pairs] = ([], [])
    for pairs, name in zip(parts, ("train", "test"), strict=True):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                turns = [turn["text"] for turn in json.loads(line)["turns"]]
                pairs.extend(zip(turns[::2], turns[1::2], strict=False))
    return parts


CASES = [Case("chatterbot_dialogs", chatterbot, 5), Case("crosswoz_zh", crosswoz, 2)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--pairs", type=int, default=1500, help="training pairs at most")
    parser.add_argument("--queries", type=int, default=1500, help="test queries at most")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "retrieval")
    options = parser.parse_args()
    print(HEADERS, "|---|---|" + "---:|" * 7, sep="\n", flush=True)
    for case in CASES:
        if any(word in case.name for word in options.only):
            measure(case, options)


def measure(case: Case, options: argparse.Namespace) -> None:
    """Print the lines of one set, each as soon as it is known."""
    learnt, test = case.read(options.data / case.name)
    passages = list(dict.fromkeys(reply for _, reply in test))
    place = {reply: index for index, reply in enumerate(passages)}
    right: dict[str, set[int]] = {}
    for said, reply in test:
        right.setdefault(said, set()).add(place[reply])
    draw = random.Random(0)
    queries = draw.sample(sorted(right), min(options.queries, len(right)))
    known = sorted({*learnt} - {*test})  # no pair of the test part is learnt from
    known = draw.sample(known, min(options.pairs, len(known)))

    def tell(name: str, searcher: Searcher, by: By) -> None:
        searcher.find(queries[:1], DEEP, by)  # what is made once, such as the index of words, is no part of a search
        begin = time.monotonic()
        found = searcher.find(queries, DEEP, by)
        seconds = (time.monotonic() - begin) / len(queries) * 100
        print(line(case, name, found, [right[said] for said in queries], len(passages), seconds), flush=True)

    searcher = opened(untuned(), passages)
    tell("words (BM25)", searcher, "words")
    tell("vectors, untuned", searcher, "vectors")
    searcher = opened(jishi.load(tuned(case, known, options.out / case.name)), passages)
    tell("vectors, tuned", searcher, "vectors")
    tell("hybrid of BM25 and tuned", searcher, "hybrid")


def line(case: Case, name: str, found: Sequence[Found], right: Sequence[set[int]], count: int, seconds: float) -> str:
    scores = judged(found, right)
    figures = [f"{scores[metric]:.3f}" for metric in ("ndcg@10", "mrr", "recall@1", "recall@10")]
    return f"| {' | '.join([case.name, name, *figures, f'{len(right):,}', f'{count:,}', f'{seconds:.2f}'])} |"


def untuned() -> Predictor:
    """The base with its own prefixes and pooling, and nothing learnt."""
    spec = ModelSpec(name=BASE["name"])  # whole: a vocabulary is cut to what the rows of a training hold
    base, processor = load.base(spec), load.processor(spec)
    task = registry.get(Task, "sentence-similarity")().initialize([{"query": "a", "passage": "b"}], base)
    return Predictor(load.model(spec, task.head(), base, processor).eval(), task, processor, {})


def opened(predictor: Predictor, passages: Sequence[str]) -> Searcher:
    record = {"sides": ["query", "passage"]}
    rows = [{"passage": text} for text in passages]
    return Searcher(Index(rows, passages, embed(predictor, passages, "passage"), record), predictor)


def tuned(case: Case, pairs: Pairs, folder: Path) -> Path:
    """A bundle that learnt which reply belongs to what was said, a tenth held out; one that is there is not trained again."""
    if not (folder / "bundle").is_dir():
        rows = [{"query": said, "passage": reply} for said, reply in pairs]
        data = folder.with_suffix(".jsonl")
        data.parent.mkdir(parents=True, exist_ok=True)
        data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        jishi.finetune(
            data={"train": str(data), "split": (0.9, 0.1, 0)}, out=str(folder), model=BASE,
            task={"name": "sentence-similarity", "criterion": "contrastive", "max_length": 48},
            train={"epochs": case.epochs, "batch_size": 32, "learning_rate": 3e-5},
        )  # fmt: skip
    return folder / "bundle"


if __name__ == "__main__":
    main()
