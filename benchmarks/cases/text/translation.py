"""A text in another language, or in another form of the same; from nothing but the rows."""

from cases.case import LAST_ONLY, Case


def pairs(name: str, data: str, source: str, target: str, epochs: int, **task: int) -> Case:
    """A two-layer encoder-decoder of width 128, judged on 500 of the official test rows."""
    settings = {
        "model": {"name": "transformer-encoder-decoder", "size": "tiny"},
        "task": {
            "name": "translation",
            "max_length": 64,
            "decoding": {"method": "beam", "beams": 3, "max_new_tokens": 48, **task},
        },
        "train": {"epochs": epochs, "batch_size": 32, "learning_rate": 2e-3, "validate_every": LAST_ONLY},
        "data": {"columns": {"source": source, "target": target}, "validation_rows": 100, "test_rows": 500},
    }
    return Case(f"{data} {name}", data, settings, seeds=1)


CASES = [
    pairs("zh-en", "tatoeba_zh_en", "zh", "en", 20),
    pairs("en-zh", "tatoeba_zh_en", "en", "zh", 20),
    pairs("classical-modern", "classical_modern_zh", "classical", "modern", 10),
]
