"""The answer to a question, in its text."""

from typing import Any

from cases.case import LAST_ONLY, Case


def answers(data: str, model: Any, rows: int, **train: Any) -> Case:
    """Judged on 500 of the official test questions; 128 more labelled ones fit the temperature. No base has seen such rows."""
    settings = {
        "model": model,
        "task": {"name": "question-answering", "max_length": 256},
        "train": {"batch_size": 16, "validate_every": LAST_ONLY, **train},
        "data": {"validation_rows": 128, "test_rows": 500},
    }
    return Case(f"{data} {rows} full", data, settings, rows, seeds=1)


CASES = [
    answers("policyqa", "minilm", 1000, epochs=2, learning_rate=1e-4),
    answers("cmrc2018_zh", {"name": "e5-small", "vocabulary": "scripts"}, 1000, epochs=2, learning_rate=1e-4),
]
