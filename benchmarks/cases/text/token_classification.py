"""Names and slots in a text, and what decoding adds: each token alone, the likeliest sensible sequence, learnt transitions."""

from typing import Any

from cases.case import LAST_ONLY, Case

DECODINGS = ("argmax", "viterbi", "crf")


def entities(
    folder: str,
    name: str,
    decoding: str = "viterbi",
    rows: int | None = None,
    epochs: int = 3,
    seeds: int = 3,
    **settings: Any,
) -> Case:
    """With e5-small, judged on the whole official test set."""
    train = {"epochs": epochs, "batch_size": 16, "learning_rate": 1e-4, "validate_every": LAST_ONLY}
    task = {"name": "token-classification", "decoding": decoding}
    model = {"name": "e5-small", "vocabulary": "scripts"}
    return Case(
        f"{folder} {name}",
        folder,
        {"model": model, "task": task, "train": train, **settings},
        rows,
        seeds=seeds,
    )


# Slots that overlap have no tags: their rows are left out and counted.
SLOTS = {"data": {"columns": {"spans": "slots"}, "on_bad_row": "skip"}}

CASES = [
    entities("wnut17", "full", "crf", epochs=6, seeds=1),
    entities("uner_gsdsimp_zh", "full", "crf", epochs=6, seeds=1),
    *[entities("uner_gsdsimp_zh", f"1000 rows {decoding}", decoding, 1000) for decoding in DECODINGS],
    *[
        entities(folder, f"1000 rows {decoding}", decoding, 1000, seeds=1 if decoding == "argmax" else 3, **settings)
        for folder, settings in (("wnut17", {}), ("restaurant8k_slots", SLOTS))
        for decoding in DECODINGS
    ],
]
