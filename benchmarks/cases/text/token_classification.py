"""Names in a text."""

from cases.case import LAST_ONLY, Case


def entities(data: str) -> Case:
    """Named entities with e5-small, judged on the whole official test set."""
    train = {"epochs": 3, "batch_size": 16, "learning_rate": 1e-4, "validate_every": LAST_ONLY}
    return Case(f"{data} full", data, {"model": {"name": "e5-small", "vocabulary": "scripts"}, "train": train})


CASES = [
    entities("wnut17"),
    entities("uner_gsdsimp_zh"),
]
