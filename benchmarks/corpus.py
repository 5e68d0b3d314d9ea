"""Cleaning a corpus: near-duplicate removal beside datasketch and rensa, the perplexity filter, and the pace of the whole chain.

    python benchmarks/corpus.py                     both
    python benchmarks/corpus.py --megabytes 10      so much of each language
    python benchmarks/corpus.py --only chain        "duplicates", "perplexity" or "chain"

Real texts, Chinese (laws, classical prose, manuals) and English (Wikipedia, manuals, plays), cut into pieces of about 2,000
characters. Of every tenth a copy is added in which a share of the characters is replaced, so that the Jaccard similarity of their
5-grams is spread from 0.5 to 1. Every contender has 128 values a text and the threshold 0.8, and drops a text for which its
index finds an earlier one (rensa and datasketch answer by their bands alone; Jishi looks at the signatures too). Recall is of
the copies that are 0.85 or more alike, which no estimate should miss; precision is the share of what was dropped that is 0.75
or more alike to an earlier text. In turns, after one that does not count, medians of the rounds. All on one core.

The perplexity filter learns from nine of ten pieces; the tenth is read as it is, with 10 and 30 % of its characters replaced by
others of the text, and in a wrong encoding: the bits a byte that 50 and 99 of 100 pieces stay below, and the share dropped.
"""

import argparse
import gzip
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy

import jishi
from jishi.operations.deduplicate import Deduplicate
from jishi.operations.perplexity_filter import PerplexityFilter

ROOT = Path(__file__).parent.parent
FILES = {
    "zh": ("corpus_zh/laws", "corpus_zh/classical", "corpus_zh/software_docs"),
    "en": ("corpus_en/wikipedia", "corpus_en/software_docs", "corpus_en/speeches_plays"),
}
STEPS = ["normalise", "line-filter", "script-filter", "quality-filter", "deduplicate", "mask-personal-data"]
GRAM, VALUES, THRESHOLD, PIECE = 5, 128, 0.8, 2000
SURE, WRONG = 0.85, 0.75
BATCH = 200  # texts surveyed at once

Drop = Callable[[Sequence[str]], set[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=5.0, help="of each language")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=["duplicates", "perplexity", "chain"])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    for part in (duplicates, perplexity, chain):
        if part.__name__ in options.only:
            part(options)


def texts(options: argparse.Namespace, language: str) -> list[str]:
    """Documents, a file after the other, until there is enough."""
    found, size = [], 0.0
    share = options.megabytes * 1e6 / len(FILES[language])
    for number, name in enumerate(FILES[language], 1):
        with gzip.open(options.data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                if size >= share * number:
                    break
                found.append(json.loads(line)["text"])
                size += len(found[-1].encode())
    return found


# --- near-duplicates --------------------------------------------------------------------------------------------------


def duplicates(options: argparse.Namespace) -> None:
    contenders: dict[str, Drop] = {"Jishi": with_jishi, "datasketch": with_datasketch, "rensa": with_rensa}
    print("| language | | MB/s | × datasketch | × rensa | recall | precision |\n|---|---|---:|---:|---:|---:|---:|")
    for language in FILES:
        whole, near = planted(texts(options, language))
        size = sum(len(text.encode()) for text in whole) / 1e6
        paces: dict[str, list[float]] = {name: [] for name in contenders}
        dropped: dict[str, set[int]] = {}
        for turn in range(options.rounds + 1):
            for name, drop in contenders.items():
                begin = time.process_time()
                dropped[name] = drop(whole[:: 1 if turn else 20])
                paces[name] += [size / (time.process_time() - begin)] * bool(turn)
        middle = {name: statistics.median(pace) for name, pace in paces.items()}
        right = {place for place in set().union(*dropped.values()) if alike(whole, place)}
        for name, pace in middle.items():
            recall = len(near & dropped[name]) / len(near)
            precision = len(right & dropped[name]) / max(len(dropped[name]), 1)
            ratios = " | ".join(f"{pace / middle[rival]:.1f}" for rival in ("datasketch", "rensa"))
            print(f"| {language} | {name} | {pace:.1f} | {ratios} | {recall:.3f} | {precision:.3f} |", flush=True)


def planted(documents: Sequence[str]) -> tuple[list[str], set[int]]:
    """Pieces in a shuffled order, each copy after its original, and the places of copies that must be found."""
    draw = random.Random(0)
    pieces = cut(documents, draw)
    letters = "".join(pieces[:20])
    near, copies = set(), []
    for original in pieces[::10]:
        given = list(original)
        for place in draw.sample(range(len(given)), int(draw.uniform(0, 0.06) * len(given))):
            given[place] = draw.choice(letters)
        copies.append("".join(given))
        if jaccard(original, copies[-1]) >= SURE:
            near.add(len(pieces) + len(copies) - 1)
    return pieces + copies, near


def cut(documents: Sequence[str], draw: random.Random) -> list[str]:
    """Different pieces in a shuffled order."""
    pieces = [text[at : at + PIECE] for text in documents for at in range(0, len(text), PIECE)]
    pieces = list(dict.fromkeys(piece for piece in pieces if len(piece) >= PIECE // 4))
    draw.shuffle(pieces)
    return pieces


def alike(whole: Sequence[str], place: int) -> bool:
    """Whether a text is really like an earlier one."""
    own = grams(whole[place])
    return any(len(own & other) >= WRONG * len(own | other) for other in map(grams, whole[:place]))


def grams(text: str) -> set[str]:
    plain = " ".join(text.casefold().split())
    return {plain[at : at + GRAM] for at in range(len(plain) - GRAM + 1)}


def jaccard(one: str, other: str) -> float:
    left, right = grams(one), grams(other)
    return len(left & right) / len(left | right)


def with_jishi(whole: Sequence[str]) -> set[int]:
    operation = Deduplicate(THRESHOLD)
    surveys = [operation.survey(whole[at : at + BATCH]) for at in range(0, len(whole), BATCH)]
    return {place for place, reason in enumerate(operation.settle(surveys, len(whole))) if reason}


def with_datasketch(whole: Sequence[str]) -> set[int]:
    from datasketch import MinHash, MinHashLSH

    index, dropped = MinHashLSH(threshold=THRESHOLD, num_perm=VALUES), set()
    for place, text in enumerate(whole):
        signature = MinHash(num_perm=VALUES)
        signature.update_batch([gram.encode() for gram in grams(text)])
        if index.query(signature):
            dropped.add(place)
        else:
            index.insert(place, signature)
    return dropped


def with_rensa(whole: Sequence[str]) -> set[int]:
    from rensa import RMinHash, RMinHashLSH

    index, dropped = RMinHashLSH(threshold=THRESHOLD, num_perm=VALUES, num_bands=16), set()
    for place, text in enumerate(whole):
        signature = RMinHash(num_perm=VALUES, seed=0)
        signature.update(list(grams(text)))
        if index.query(signature):
            dropped.add(place)
        else:
            index.insert(place, signature)
    return dropped


# --- the perplexity filter --------------------------------------------------------------------------------------------


def perplexity(options: argparse.Namespace) -> None:
    draw = random.Random(0)
    pieces = {language: cut(texts(options, language), draw) for language in FILES}
    learnt = [text for found in pieces.values() for place, text in enumerate(found) if place % 10]
    print("| language | pieces | MB/s | bits a byte: 50 %, 99 % | dropped |\n|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reference.jsonl"
        file.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in learnt))
        begin = time.process_time()
        operation = PerplexityFilter(str(file))
        operation.ready()
        learning = time.process_time() - begin
        for language, found in pieces.items():
            for name, damaged in damages(found[::10], draw).items():
                size, paces = sum(len(text.encode()) for text in damaged) / 1e6, []
                for _ in range(options.rounds):
                    begin = time.process_time()
                    bits = operation.survey(damaged)
                    paces.append(size / (time.process_time() - begin))
                middle, high = (float(found) for found in numpy.quantile(bits, [0.5, 0.99]))
                share = sum(map(bool, operation.settle([bits], len(bits)))) / len(bits)
                pace = statistics.median(paces)
                print(f"| {language} | {name} | {pace:.1f} | {middle:.2f}, {high:.2f} | {share:.3f} |", flush=True)
    print(f"learnt in {learning:.1f} s")


def damages(pieces: Sequence[str], draw: random.Random) -> dict[str, list[str]]:
    def noisy(text: str, share: float) -> str:
        return "".join(draw.choice(text) if draw.random() < share else character for character in text)

    return {
        "whole": list(pieces),
        "10 % replaced": [noisy(text, 0.1) for text in pieces],
        "30 % replaced": [noisy(text, 0.3) for text in pieces],
        "wrong encoding": [text.encode().decode("latin-1") for text in pieces],
    }


# --- the whole chain --------------------------------------------------------------------------------------------------


def chain(options: argparse.Namespace) -> None:
    print("| language | texts | MB | seconds | MB/s |\n|---|---:|---:|---:|---:|")
    for language in FILES:
        documents = texts(options, language)
        size = sum(len(text.encode()) for text in documents) / 1e6
        seconds = []
        for _ in range(options.rounds + 1):  # the first imports
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "raw.jsonl"
                file.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in documents))
                begin = time.process_time()
                jishi.prepare(
                    corpus={"sources": str(file), "operations": STEPS, "processes": 1}, out=Path(folder) / "out"
                )
                seconds.append(time.process_time() - begin)
        middle = statistics.median(seconds[1:])
        print(f"| {language} | {len(documents):,} | {size:.1f} | {middle:.2f} | {size / middle:.1f} |", flush=True)


if __name__ == "__main__":
    main()
