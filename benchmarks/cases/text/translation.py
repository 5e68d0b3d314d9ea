"""A text in another language, or in another form of the same; from nothing but the rows."""

from cases.case import LAST_ONLY, Case


def pairs(
    name: str, data: str, source: str, target: str, epochs: int, *,
    model: str = "transformer-encoder-decoder", batch_size: int = 64, **decoding: float,
) -> Case:  # fmt: skip
    """An encoder-decoder of width 256, three layers a side, judged on 500 of the official test rows."""
    settings = {
        "model": {"name": model, "size": "mini", "dropout": 0.2},
        "task": {
            "name": "translation",
            "max_length": 64,
            "decoding": {"method": "beam", "beams": 3, "max_new_tokens": 48, **decoding},
        },
        "train": {"epochs": epochs, "batch_size": batch_size, "learning_rate": 1e-3, "validate_every": LAST_ONLY},
        "data": {"columns": {"source": source, "target": target}, "validation_rows": 100, "test_rows": 500},
    }
    return Case(f"{data} {name}", data, settings, seeds=1)


CASES = [
    pairs("zh-en", "tatoeba_zh_en", "zh", "en", 12),
    pairs("en-zh", "tatoeba_zh_en", "en", "zh", 12),
    pairs(
        "classical-modern",
        "classical_modern_zh",
        "classical",
        "modern",
        8,
        model="pointer-generator",
        batch_size=32,
        max_new_tokens=96,
        no_repeat_ngram=3,
        length_penalty=1.0,
    ),
]
