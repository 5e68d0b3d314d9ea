"""One label a text."""

from typing import Any

from cases.case import LAST_ONLY, PROBE, Case


def reviews(rows: int | None, adapt: str, seeds: int = 3, **train: Any) -> Case:
    """Chinese shopping reviews with e5-small; 256 more labelled rows fit the temperature."""
    settings = {
        "model": {"name": "e5-small", "vocabulary": "scripts"},
        "task": {"name": "text-classification", "max_length": 128 if rows and rows <= 128 else 64},
        "adapt": adapt,
        "train": {"batch_size": 16, "validate_every": LAST_ONLY, **train},
        "data": {"validation_rows": 256},
    }
    return Case(f"shopping_reviews_zh {rows or 'all'} {adapt}", "shopping_reviews_zh", settings, rows, seeds)


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


SMILES = r"\[[^\]]+\]|Br|Cl|%\d\d|."
LONG = 4_000  # rows whose training, for ten epochs, takes over ten minutes: one seed
FEW = {"epochs": 10, "batch_size": 32, "learning_rate": 1e-4}
WAYS = {  # how few labels are used: what is trained, and how
    "probe": ("frozen", {}, PROBE),
    "plain": ("full", {}, FEW),
    "head first": ("full", {}, {**FEW, "fit_head": "before"}),
    "contrastive": ("full", {"contrastive": 0.9}, {**FEW, "batch_size": 64, "fit_head": "after"}),
}


def few(data: str, model: Any, rows: int, title: str, way: str) -> Case:
    """So many labelled rows, used in one way, with 256 more to fit the temperature."""
    adapt, task, train = WAYS[way]
    settings = {
        "model": model,
        "task": {"name": "text-classification", "max_length": 64, **task},
        "adapt": adapt,
        "train": {"validate_every": LAST_ONLY, **train},
        "data": {"validation_rows": 256},
    }
    slow = rows > LONG and way != "probe"
    return Case(f"{data} {title} {way}", data, settings, rows, seeds=1 if slow else 3)


def whole(
    data: str, model: Any, rows: int | None = None, columns: Any = None, task: Any = None, seeds: int = 3, **train: Any
) -> Case:
    """All training rows, or so many; the weights of the best validation are taken."""
    settings = {
        "model": model,
        "task": {"name": "text-classification", "max_length": 128, **(task or {})},
        "train": {"epochs": 3, "batch_size": 32, "learning_rate": 1e-4, **train},
        "data": {"columns": columns or {}},
    }
    return Case(f"{data} {rows or 'all'}", data, settings, rows, seeds)


def probe(data: str, model: Any, rows: int | None = None, seeds: int = 3) -> Case:
    """A linear probe on so many training rows, or all: the cheap row beside `whole`."""
    settings = {
        "model": model,
        "task": {"name": "text-classification", "max_length": 128},
        "adapt": "frozen",
        "train": PROBE,
    }
    return Case(f"{data} {rows or 'all'} probe", data, settings, rows, seeds)


ZH = {"name": "e5-small", "vocabulary": "scripts"}
GRADED = {"text": ["question", "reference_answers"], "text_pair": "student_answer"}
NUMBER = {"problem": "regression"}
SCRATCH = {"epochs": 30, "learning_rate": 1e-3, "batch_size": 16}

CASES = [
    reviews(32, "full", epochs=6, learning_rate=2e-5, fit_head="before"),
    reviews(32, "frozen", **PROBE),
    reviews(128, "full", epochs=4, learning_rate=2e-5, fit_head="before"),
    reviews(128, "lora", epochs=4, learning_rate=5e-4, fit_head="before"),
    reviews(128, "frozen", **PROBE),
    reviews(2000, "full", epochs=1, learning_rate=5e-5, fit_head="before"),
    reviews(2000, "frozen", **PROBE),
    reviews(None, "full", seeds=1, epochs=1, learning_rate=5e-5, head_learning_rate=1e-2),
    intents(770, "full", epochs=6, learning_rate=1e-4, fit_head="before"),
    intents(770, "lora", epochs=6, learning_rate=1e-3, fit_head="before"),
    intents(770, "frozen", **PROBE),
    intents(None, "full", epochs=3, learning_rate=2e-4, fit_head="before"),
    intents(None, "frozen", **PROBE),
    *(few("banking77", "minilm", 77 * rows, f"{rows} a class", way) for rows in (8, 16, 64) for way in WAYS),
    *(few("shopping_reviews_zh", ZH, rows, str(rows), "contrastive") for rows in (32, 128)),
    whole("sick", "minilm"),
    whole("ocnli_zh", ZH, 3000, seeds=1),
    *(
        whole(data, model, columns={"label": "score"}, task=NUMBER, seeds=seeds)
        for data, model, seeds in (("stsb_en", "minilm", 3), ("stsb_zh", ZH, 1))
    ),
    whole("beetle_answer_grading", "minilm", columns=GRADED, seeds=1),
    whole("financial_phrasebank", "minilm", seeds=1),
    whole("csl_category_zh", ZH, 3000, epochs=2),
    whole("cold_offensive_zh", ZH, 3000, epochs=2, seeds=1),
    probe("financial_phrasebank", "minilm"),
    probe("csl_category_zh", ZH, 3000),
    probe("cold_offensive_zh", ZH, 3000, seeds=1),
    whole("molecules_bbbp", {"name": "text-cnn", "tokens": SMILES}, columns={"text": "smiles"}, seeds=1, **SCRATCH),
    whole(
        "dna_promoters",
        {"name": "text-cnn", "tokens": "."},
        columns={"text": "sequence"},
        task={"max_length": 512},
        **SCRATCH,
    ),
]
