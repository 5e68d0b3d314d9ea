"""Language models from nothing on one core: an LSTM and a Transformer decoder of one size beside a 5-gram; and a writer of poems.

    python benchmarks/language_model.py                   both parts, some 35 minutes
    python benchmarks/language_model.py --only models     "models" or "poems"
    python benchmarks/language_model.py --tokens 200000   the tokens each model is trained on: the dial of time

Models: Chinese (laws, classical prose, novels, manuals, Wikipedia) and English (Wikipedia, manuals, speeches and plays) in equal
numbers of tokens, cut into passages. One document in fifty is held out for the figures and another for choosing weights; no
passage of theirs occurs in training. Both models have the same vocabulary, BPE learnt from the training passages, and see these
as often; the 5-gram counts their characters. Bits per character are over whole passages, the end of each included, so that
they compare models whatever their tokens are.

Poems: of four or eight verses of five or seven characters, from their form and title (recipes/poetry.yaml). They are drawn for
held-out titles; right is a couplet with two verses of the form's length, and a poem that is all of such couplets, as many as
the form has.
"""

import argparse
import gzip
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jishi
from jishi.core.contracts import Base
from jishi.metrics import language_model
from jishi.metrics.ngram import KneserNey
from jishi.models import load
from jishi.models.decoding import Decoding
from jishi.objectives.causal_lm import CausalLM
from jishi.operations.split_passages import SplitPassages
from jishi.training.features import Encoded
from jishi.training.validate import validate

ROOT = Path(__file__).parent.parent
FILES = {
    "zh": ("laws", "classical", "novels", "software_docs", "wikipedia_sample"),
    "en": ("wikipedia", "software_docs", "speeches_plays"),
}
PASSAGE = {"zh": 300, "en": 1000}  # characters: some 300 tokens, never 512
A_TOKEN = {"zh": 1.25, "en": 3.2}  # characters, about
TRAIN, CHOOSE, JUDGE = "train", "dev", "test"
HELD_OUT = 50  # one document in so many
ROWS = {CHOOSE: 60, JUDGE: 300}  # passages of each language at most, one a document
VOCABULARY = 8000
# Peak learning rates. Of 0.003 and 0.01, tried for 83 steps and judged by the passages for choosing, the LSTM was better with the
# larger one and the Transformer with the smaller.
MODELS = {"lstm": 8e-3, "transformer-decoder": 3e-3}
PROMPTS = ("第十二条 ", "话说", "子曰：", "The history of the town ", "To delete a file, ")
DRAWN = Decoding("sampling", max_new_tokens=60, top_p=0.9, temperature=0.8)
FORMS = {"五言绝句": (5, 2), "七言绝句": (7, 2), "五言律诗": (5, 4), "七言律诗": (7, 4)}  # characters a verse, couplets
COUPLET = re.compile("([\u4e00-\u9fff]+)，([\u4e00-\u9fff]+)[。？！；]")
TITLES = 100  # of the test part that are written to
Passages = Mapping[str, Mapping[str, Sequence[str]]]  # part → language → texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=2_000_000, help="that each model is trained on")
    parser.add_argument("--passes", type=int, default=4, help="over the passages, within those tokens")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--epochs", type=float, default=3, help="over the poems")
    parser.add_argument("--only", nargs="*", default=["models", "poems"])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "language_model")
    options = parser.parse_args()
    for part in (models, poems):
        if part.__name__ in options.only:
            part(options)


# --- models -----------------------------------------------------------------------------------------------------------


def models(options: argparse.Namespace) -> None:
    found = passages(options)
    files = written(found, options.out / "passages")
    print("| | parameters | tokens | seconds of the processor | zh | en |\n|---|---:|---:|---:|---:|---:|", flush=True)
    clock = Clock()
    counted = KneserNey.fit([text for texts in found[TRAIN].values() for text in texts])
    figures = {language: weighed(counted, texts) for language, texts in found[JUDGE].items()}
    stored = sum(len(order.keys) for order in counted.orders)
    line("5-gram", stored, "–", time.process_time() - clock.start, figures)
    words = str(options.out / "tokenizer")
    jishi.tokenizer(data=str(files[TRAIN]), out=words, kind="bpe", size=VOCABULARY)
    for name, rate in MODELS.items():
        run = jishi.pretrain(
            data={"train": str(files[TRAIN]), "validation": str(files[CHOOSE]), "test": str(files[JUDGE])},
            out=str(options.out / f"{name}-{options.size}"),
            model={"name": name, "size": options.size, "dropout": 0.0, "tokenizer": words}, objective="causal-lm",
            resume="never",
            train={
                "epochs": options.passes, "batch_size": 8, "learning_rate": rate, "threads": 1, "warmup": 0.05,
                "validate_every": 400, "weight_decay": 0.1,
            },
            samples={"texts": list(PROMPTS), "every": 400, "decoding": {"method": "sampling", "max_new_tokens": 30}},
            listen=clock.hear,
        )  # fmt: skip
        judged = {language: foreseen(run.base, texts) for language, texts in found[JUDGE].items()}
        tokens = run.record["tokens"] * options.passes
        parameters = run.record["resources"]["parameters"]
        line(f"{name}, {options.size}", parameters, f"{tokens:,}", clock.spent, judged)
    for name in MODELS:
        show(name, options.out / f"{name}-{options.size}" / "base")


def passages(options: argparse.Namespace) -> Passages:
    """Texts by part and language; none of the held-out ones stands in training."""
    found: dict[str, dict[str, list[str]]] = {part: {} for part in (TRAIN, CHOOSE, JUDGE)}
    for language in FILES:
        parts: dict[str, list[str]] = {part: [] for part in found}
        room = A_TOKEN[language] * options.tokens / options.passes / len(FILES)
        cut = SplitPassages(PASSAGE[language])
        for number, text in documents(options.data, language):
            part = {0: JUDGE, 1: CHOOSE}.get(number % HELD_OUT, TRAIN)
            treated = cut.treat(text)
            texts = [text] if treated is None else treated.texts
            if part == TRAIN and room > 0:
                room -= sum(map(len, texts))
                parts[part] += texts
            elif part != TRAIN:
                parts[part].append(texts[number // HELD_OUT % len(texts)])  # one of a document
        known = set(parts[TRAIN])
        for part, texts in parts.items():
            kept = texts if part == TRAIN else [text for text in texts if text not in known][: ROWS[part]]
            found[part][language] = kept
    return found


def documents(data: Path, language: str) -> list[tuple[int, str]]:
    """Every document of a language with a number that follows from its text, in the order of these."""
    found = []
    for name in FILES[language]:
        with gzip.open(data / f"corpus_{language}" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for text in (json.loads(line)["text"].strip() for line in lines):
                found.append((int(hashlib.md5(text.encode()).hexdigest(), 16), text))
    return sorted(found)


def written(found: Passages, folder: Path) -> dict[str, Path]:
    """A file a part."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, languages in found.items():
        lines = (
            json.dumps({"text": text}, ensure_ascii=False) + "\n" for texts in languages.values() for text in texts
        )
        (folder / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
        told = ", ".join(
            f"{len(texts)} {name} ({sum(map(len, texts)):,} characters)" for name, texts in languages.items()
        )
        print(f"{part}: {told}", file=sys.stderr, flush=True)
    return {part: folder / f"{part}.jsonl" for part in found}


def weighed(model: KneserNey, texts: Sequence[str]) -> float:
    return language_model.bits_per_character(float(model.nats(texts).sum()), sum(map(len, texts)))


def foreseen(base: Path, texts: Sequence[str]) -> float:
    """Bits per character of texts that are read whole."""
    objective = CausalLM()
    model, processor = load.reload(base, objective.head().architecture)
    rows = [{"text": text} for text in texts]
    features = Encoded(objective, rows, processor)
    if features.truncated or features.unknown:
        print(
            f"not comparable: {features.truncated:.1%} cut, {features.unknown:.1%} unknown", file=sys.stderr, flush=True
        )
    return validate(objective, model, processor, features, rows, seed=0)["bits_per_character"]


def line(name: str, parameters: int, tokens: str, seconds: float, figures: Mapping[str, float]) -> None:
    told = " | ".join(f"{figures[language]:.2f}" for language in FILES)
    print(f"| {name} | {parameters:,} | {tokens} | {seconds:.0f} | {told} |", flush=True)


def show(name: str, base: Path) -> None:
    """How a model goes on with a few beginnings."""
    model, processor = load.reload(base, CausalLM().head().architecture)
    print(f"\n{name}\n")
    for text in PROMPTS:
        more = CausalLM().initialize([], Base(name, "text")).sample(model, text, processor, DRAWN)
        print(f"- {text}**{' '.join(more.split())}**", flush=True)


class Clock:
    """Seconds of the processor from the first step to the last, and what is told on the way."""

    def __init__(self) -> None:
        self.start, self.spent = time.process_time(), 0.0

    def hear(self, event: Any) -> None:
        if event.kind == "start":
            self.start = time.process_time()
        self.spent = time.process_time() - self.start
        if event.kind in ("start", "validation", "samples", "end") or event.step % 50 == 0:
            print(event.kind, event.step, json.dumps(event.values, ensure_ascii=False), file=sys.stderr, flush=True)


# --- poems ------------------------------------------------------------------------------------------------------------


def poems(options: argparse.Namespace) -> None:
    folder = options.out / "poems"
    parts = collected(options.data)
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
    clock = Clock()
    run = jishi.finetune(
        ROOT / "recipes" / "poetry.yaml", data=str(folder), out=str(options.out / "poetry"), resume="never",
        overrides=["data.validation_rows=200", "data.test_rows=100"], listen=clock.hear,
        model={"size": options.size}, train={"epochs": options.epochs, "threads": 1},
    )  # fmt: skip
    prompts = list(dict.fromkeys(row["prompt"] for row in parts[JUDGE]))[:TITLES]
    answers = [answer["text"] for answer in jishi.predict(run.bundle, [{"prompt": prompt} for prompt in prompts])]
    couplets = [right for pair in zip(prompts, answers, strict=True) for right in judged(*pair)]
    whole = sum(is_right(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True))
    scores = {name: round(score["value"], 3) for name, score in run.evaluation["scores"].items()}
    count = f"{len(parts[TRAIN]):,} poems, {options.epochs:g} times"
    print(
        f"\n{count}, {run.resources['parameters']:,} parameters, {clock.spent:.0f} seconds of the processor, {scores}"
    )
    print(f"of {len(couplets)} couplets drawn {sum(couplets) / len(couplets):.1%} have verses of the right length")
    print(f"of {len(prompts)} poems drawn {whole / len(prompts):.1%} are right")
    for prompt, answer in list(zip(prompts, answers, strict=True))[:6]:
        print(f"\n{prompt}\n{answer}")


def collected(data: Path) -> dict[str, list[dict[str, str]]]:
    """Poems of the four forms, by part; no title of a held-out one stands in training."""
    parts: dict[str, list[dict[str, str]]] = {TRAIN: [], CHOOSE: [], JUDGE: []}
    with gzip.open(data / "corpus_zh" / "poetry.jsonl.gz", "rt", encoding="utf-8") as lines:
        for poem in map(json.loads, lines):
            for form in FORMS:
                prompt = f"{form}：{poem['title']}"
                if is_right(prompt, poem["text"]):
                    number = int(hashlib.md5(poem["title"].encode()).hexdigest(), 16) % HELD_OUT
                    part = {0: JUDGE, 1: CHOOSE}.get(number, TRAIN)
                    parts[part].append({"prompt": prompt, "answer": poem["text"]})
    return parts


def judged(prompt: str, poem: str) -> Iterator[bool]:
    """Of each line, whether it is a couplet of the form that the prompt asks for."""
    verse, _ = FORMS[prompt.partition("：")[0]]
    for line in poem.split("\n"):
        found = COUPLET.fullmatch(line)
        yield found is not None and [len(part) for part in found.groups()] == [verse, verse]


def is_right(prompt: str, poem: str) -> bool:
    """Whether a poem has as many couplets as its form, all of its length."""
    lines = list(judged(prompt, poem))
    return all(lines) and len(lines) == FORMS[prompt.partition("：")[0]][1]


if __name__ == "__main__":
    main()
