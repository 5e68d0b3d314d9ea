"""Vectors whose cosine is held against people's scores (Spearman)."""

from typing import Any

from cases.case import LAST_ONLY, Case


def graded(
    name: str, *, rows: int | None = None, columns: dict[str, str] | None = None, seeds: int = 3, **train: Any
) -> Case:
    """e5-small, learnt from the order of the scores (CoSENT); judged on the official test part."""
    settings = {
        "model": {"name": "e5-small", "vocabulary": "scripts"},
        "task": {"name": "sentence-similarity", "max_length": 64},
        "train": {"batch_size": 32, "epochs": 1, "learning_rate": 3e-5, "validate_every": LAST_ONLY, **train},
        "data": {"columns": columns} if columns else {},
    }
    return Case(name, name.split()[0], settings, rows, seeds)


CASES = [
    graded("stsb_zh"),
    graded("stsb_en", seeds=1),
    graded("sick relatedness", columns={"text": "premise", "text_pair": "hypothesis", "score": "relatedness"}),
]
