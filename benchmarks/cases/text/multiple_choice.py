"""One of several texts."""

from cases.case import Case

CASES = [
    Case(
        "fineva_mcq_zh all",
        "fineva_mcq_zh",
        {
            "model": {"name": "e5-small", "vocabulary": "scripts"},
            "task": {"name": "multiple-choice", "max_length": 192},
            "train": {"epochs": 2, "batch_size": 8, "learning_rate": 5e-5},
        },
        seeds=1,
    ),
]
