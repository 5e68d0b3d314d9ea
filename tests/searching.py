"""What searches for settings are tried on: a few rows, a small fine-tuning, one rate to search."""

import json

import jishi

RATE = {"train.learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}}


def written(folder):
    """A file of rows."""
    file = folder / "rows.jsonl"
    kinds = {"good": ["很好用", "works well", "love it"], "bad": ["太差了", "hate it", "very bad"]}
    told = [
        {"text": f"{text} {n}", "label": kind} for kind, texts in kinds.items() for text in texts for n in range(14)
    ]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in told), encoding="utf-8")
    return file


def base(rows, **train):
    return {
        "data": str(rows), "task": "text-classification", "model": {"name": "text-cnn", "size": "nano"},
        "train": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-5, **train},
    }  # fmt: skip


def search(tmp_path, rows, settings=RATE, listen=lambda _: None, watch=lambda _: None, **options):
    return jishi.tune(
        finetune=base(rows), search=settings, out=tmp_path / "tuned", listen=listen, watch=watch, **options
    )
