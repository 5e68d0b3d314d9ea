"""The texts that `jishi_mini.py` distils on: Chinese and English alike, short ones and a share of long ones.

Sentences and whole texts of the unlabelled corpora and of the training parts of labelled sets whose licence allows the weights
to be passed on (none marked NC or for research only); a text that occurs in the dev or test part of STS-B is left out.
"""

import gzip
import json
import random
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jishi.operations.split_sentences import SplitSentences

SETS = {  # set/part: the columns that hold text, and how many texts are taken of it at most
    "en": {
        "stsb_en/train": (("text_a", "text_b"), 10_000),
        "tatoeba_zh_en/train": (("en",), 20_000),
        "banking77/train": (("text",), 10_000),
        "sentence_polarity/train": (("text",), 10_000),
        "gsm8k/train": (("question",), 10_000),
        "policyqa/train": (("question", "context"), 5_000),
        "restaurant8k_slots/train": (("text",), 5_000),
        "beetle_answer_grading/train": (("question", "student_answer", "reference_answers"), 5_000),
        "pubmedqa/train": (("question", "contexts", "long_answer"), 7_000),
        "presidio_pii/train": (("text",), 2_000),
        "wnut17/train": (("tokens",), 6_000),
        "corpus_en/wikipedia": (("text",), 90_000),
        "corpus_en/software_docs": (("text",), 8_000),
        "corpus_en/speeches_plays": (("text",), 6_000),
    },
    "zh": {
        "stsb_zh/train": (("text_a", "text_b"), 10_000),
        "tatoeba_zh_en/train": (("zh",), 20_000),
        "cmrc2018_zh/train": (("question", "context"), 15_000),
        "crosswoz_zh/train": (("turns", "task_description"), 10_000),
        "csl_abstracts_zh/train": (("abstract", "title"), 5_000),
        "csl_category_zh/train": (("text",), 8_000),
        "shopping_reviews_zh/train": (("text",), 30_000),
        "uner_gsdsimp_zh/train": (("tokens",), 5_000),
        "fineva_mcq_zh/train": (("question",), 3_000),
        "cold_offensive_zh/train": (("text",), 12_000),
        "classical_modern_zh/train": (("modern", "classical"), 20_000),
        "corpus_zh/wikipedia_sample": (("text",), 10_000),
        "corpus_zh/laws": (("text",), 20_000),
        "corpus_zh/software_docs": (("text",), 15_000),
        "corpus_zh/novels": (("text",), 12_000),
        "corpus_zh/classical": (("text",), 4_000),
        "corpus_zh/poetry": (("text",), 2_000),
    },
}
HELD_OUT = ("stsb_en/dev", "stsb_en/test", "stsb_zh/dev", "stsb_zh/test")
SHORT = {"en": 140, "zh": 45}  # characters: about thirty tokens
LONG, LONGEST = 0.15, 600  # the share of texts that may be longer, and where they end
LEAST = {"en": 8, "zh": 4}  # letters
ALPHABETS = ("LATIN", "CJK", "GREEK", "FULLWIDTH")


def texts(data: Path, each: int, seed: int = 0) -> list[dict[str, str]]:
    """So many texts of each language, mixed, {"text", "set"}: short ones first of all, the share of long ones among them."""
    held_out = {_letters(row[key]) for part in HELD_OUT for row in _rows(data / part) for key in ("text_a", "text_b")}
    found = [row for language in SETS for row in _language(data, language, each, held_out, random.Random(seed))]
    random.Random(seed).shuffle(found)
    return found


def _language(data: Path, language: str, each: int, seen: set[str], rng: random.Random) -> list[dict[str, str]]:
    short, long = [], []
    for part, (columns, most) in SETS[language].items():
        found = []
        for text in _sentences(data / part, columns, language):
            if (key := _letters(text)) not in seen and len(key) >= LEAST[language] and _readable(text):
                seen.add(key)
                found.append({"text": text[:LONGEST], "set": part})
        rng.shuffle(found)
        for row in found[:most]:
            (short if len(row["text"]) <= SHORT[language] else long).append(row)
    rng.shuffle(short)
    rng.shuffle(long)
    chosen = long[: round(LONG * each)]
    return chosen + short[: each - len(chosen)]


def _sentences(file: Path, columns: tuple[str, ...], language: str) -> Iterator[str]:
    """Every sentence of a set, and, where texts are not whole books, every text of several."""
    split, corpus = SplitSentences(apart=True), file.parent.name.startswith("corpus")
    for row in _rows(file):
        for column in columns:
            words = " " if language == "en" else ""
            value = words.join(row[column]) if column == "tokens" else row.get(column) or ()
            for text in (
                [value] if isinstance(value, str) else [one["text"] if isinstance(one, dict) else one for one in value]
            ):
                treated = split.treat(text)
                yield from (part.strip() for part in (treated.texts if treated else [text]))
                if treated and not corpus:
                    yield text.strip()


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    plain = file.with_name(f"{file.name}.jsonl")
    packed = f"{plain}.gz"
    with plain.open(encoding="utf-8") if plain.is_file() else gzip.open(packed, "rt", encoding="utf-8") as stream:
        yield from map(json.loads, stream)


def _letters(text: str) -> str:
    """By which texts are the same."""
    return re.sub(r"\W+", "", text.lower())


def _readable(text: str) -> bool:
    """Whether every letter is of an alphabet that the model will keep."""
    return all(unicodedata.name(letter, "").split(" ")[0] in ALPHABETS for letter in set(text) if letter.isalpha())
