"""What a user wants and the values that go with it.

No set at hand has intents and slots side by side; they are derived from the dialogue acts of the users' turns in CrossWOZ
(arXiv:2002.11893), as they stand: the intent is the turn's acts with their domains, the slots are the values it informs of, named
by domain and slot. Intents that fewer than ten training turns have are one, "其他". Turns whose value is not in the text exactly
once (it was paraphrased, or is named twice) are left out, and counted in the report of the run.
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cases.case import LAST_ONLY, Case

PARTS = ("train", "dev", "test")
LEAST, OTHER = 10, "其他"


def turns(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for dialogue in map(json.loads, lines):
            for turn in dialogue["turns"]:
                if turn["role"] == "usr" and turn["acts"]:
                    yield turn


def row(turn: dict[str, Any]) -> dict[str, Any]:
    intent = "+".join(sorted({f"{act}-{domain}" for act, domain, _, _ in turn["acts"]}))
    slots: dict[str, list[str]] = {}
    for act, domain, slot, value in turn["acts"]:
        if act == "Inform" and value:
            slots.setdefault(f"{domain}-{slot}", []).append(value)
    return {"text": turn["text"], "intent": intent, "slots": slots}


def derive(source: Path, folder: Path) -> Path:
    """Write the rows of every part into a folder; return it."""
    rows = {part: list(map(row, turns(source / f"{part}.jsonl.gz"))) for part in PARTS}
    counts = Counter(one["intent"] for one in rows["train"])
    folder.mkdir(parents=True, exist_ok=True)
    for part, found in rows.items():
        for one in found:
            one["intent"] = one["intent"] if counts[one["intent"]] >= LEAST else OTHER
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found)
        (folder / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def turns_of_users(name: str, adapt: str, **train: Any) -> Case:
    """With e5-small, judged on the turns of the official test dialogues."""
    settings = {
        "model": {"name": "e5-small", "vocabulary": "scripts"},
        "task": {"name": "intent-slots", "max_length": 64},
        "adapt": adapt,
        "train": {"batch_size": 16, "validate_every": LAST_ONLY, **train},
        "data": {"on_bad_row": "skip"},
    }
    return Case(f"crosswoz_zh acts {name}", "crosswoz_zh", settings, 1500, seeds=1, derive=derive)


CASES = [
    turns_of_users("1500 turns full", "full", epochs=3, learning_rate=1e-4, fit_head="before"),
]
