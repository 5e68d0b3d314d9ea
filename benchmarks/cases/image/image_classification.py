"""Pictures."""

from typing import Any

from cases.case import LAST_ONLY, PROBE, Case


def pictures(adapt: str, **train: Any) -> Case:
    """Hand signs with EfficientNet-lite0, judged on the whole test set."""
    settings = {
        "model": "efficientnet-lite0",
        "adapt": adapt,
        "train": {"batch_size": 32, "validate_every": LAST_ONLY, **train},
    }
    return Case(f"sign_digits {adapt}", "sign_digits", settings, seeds=3 if adapt == "frozen" else 1)


CASES = [
    pictures("full", epochs=3, learning_rate=1e-3),
    pictures("frozen", **PROBE),
]
