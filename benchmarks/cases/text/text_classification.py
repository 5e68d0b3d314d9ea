"""One label a text."""

from typing import Any

from cases.case import LAST_ONLY, PROBE, Case


def reviews(rows: int | None, adapt: str, **train: Any) -> Case:
    """Chinese shopping reviews with e5-small; 256 more labelled rows fit the temperature."""
    settings = {
        "model": {"name": "e5-small", "vocabulary": "scripts"},
        "task": {"name": "text-classification", "max_length": 128 if rows and rows <= 128 else 64},
        "adapt": adapt,
        "train": {"batch_size": 16, "validate_every": LAST_ONLY, **train},
        "data": {"validation_rows": 256},
    }
    return Case(f"shopping_reviews_zh {rows or 'all'} {adapt}", "shopping_reviews_zh", settings, rows)


def intents(rows: int | None, adapt: str, **train: Any) -> Case:
    """English banking intents with MiniLM, judged on the whole official test set."""
    settings = {
        "model": "minilm",
        "task": {"name": "text-classification", "max_length": 64},
        "adapt": adapt,
        "train": {"batch_size": 32, "validate_every": LAST_ONLY, **train},
        "data": {"validation_rows": 256},
    }
    return Case(f"banking77 {'10 a class' if rows else 'all'} {adapt}", "banking77", settings, rows)


CASES = [
    reviews(32, "full", epochs=6, learning_rate=2e-5, fit_head="before"),
    reviews(32, "frozen", **PROBE),
    reviews(128, "full", epochs=4, learning_rate=2e-5, fit_head="before"),
    reviews(128, "lora", epochs=4, learning_rate=5e-4, fit_head="before"),
    reviews(128, "frozen", **PROBE),
    reviews(2000, "full", epochs=1, learning_rate=5e-5, fit_head="before"),
    reviews(2000, "frozen", **PROBE),
    reviews(None, "full", epochs=1, learning_rate=5e-5, head_learning_rate=1e-2),
    intents(770, "full", epochs=6, learning_rate=1e-4, fit_head="before"),
    intents(770, "lora", epochs=6, learning_rate=1e-3, fit_head="before"),
    intents(770, "frozen", **PROBE),
    intents(None, "full", epochs=3, learning_rate=2e-4, fit_head="before"),
    intents(None, "frozen", **PROBE),
]
