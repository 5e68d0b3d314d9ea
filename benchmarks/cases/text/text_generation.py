"""Answers: sums in English with a small instruct model, small talk in two languages and a service in Chinese from nothing."""

import gzip
import json
from pathlib import Path

from cases.case import LAST_ONLY, Case

PARTS = ("train", "dev", "test")
BEFORE = 3  # turns a reply is written after

SUMS = {
    "model": "smollm2-135m",
    "task": {"name": "text-generation", "max_length": 320, "decoding": {"max_new_tokens": 128}},
    "adapt": {"name": "lora", "rank": 8},
    "train": {"epochs": 1, "batch_size": 8, "validate_every": LAST_ONLY},
    "data": {"columns": {"prompt": "question"}, "validation_rows": 8, "test_rows": 48},
}
TALK = {
    "model": {"name": "transformer-decoder", "size": "tiny"},
    "task": {"name": "text-generation", "max_length": 128, "decoding": {"max_new_tokens": 40}},
    "train": {"epochs": 20, "batch_size": 32, "validate_every": LAST_ONLY},
    "data": {"on_bad_row": "skip"},  # a few dialogues end with the user
}
REPLIES = {
    "model": {"name": "transformer-decoder", "size": "tiny"},
    "task": {"name": "text-generation", "max_length": 192, "decoding": {"max_new_tokens": 64}},
    "train": {"epochs": 15, "batch_size": 32, "validate_every": LAST_ONLY},
    "data": {"validation_rows": 256, "test_rows": 300},
}


def replies(source: Path, folder: Path) -> Path:
    """Write every reply of CrossWOZ's service, with the turns before it, as a row; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        with gzip.open(source / f"{part}.jsonl.gz", "rt", encoding="utf-8") as lines:
            told = [[turn["text"] for turn in json.loads(line)["turns"]] for line in lines]
        rows = [turns[max(0, end - BEFORE) : end + 1] for turns in told for end in range(1, len(turns), 2)]
        written = "".join(json.dumps({"turns": row}, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{part}.jsonl").write_text(written, encoding="utf-8")
    return folder


CASES = [
    Case("gsm8k 320 lora", "gsm8k", SUMS, 320, seeds=1),
    Case("chatterbot_dialogs all scratch", "chatterbot_dialogs", TALK),
    Case("crosswoz_zh replies scratch", "crosswoz_zh", REPLIES, seeds=1, derive=replies),
]
