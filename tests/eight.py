"""Eight rows for every objective, and a small model for every modality, or objective: what the contract tests run plugins on.

A new task needs its rows here; `test_every_objective_has_rows` says so.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

from jishi.core.contracts import Base, Head
from jishi.models import load
from jishi.models.spec import ModelSpec

TEXTS = [
    "很好用，下次还会买", "用了两天就坏了", "good value and quick delivery", "the screen broke at once",
    "客服态度好，发货快", "包装破损，味道难闻", "works as described", "never again, a waste of money",
]  # fmt: skip
NAMES = ["王芳", "李雷", "Anna", "上海", "北京", "Berlin", "张伟", "Paris"]
PAIRS = [
    ("很好用", "很好用，会再买", 5), ("很好用", "用了两天就坏了", 0), ("发货快", "发货很快", 4), ("包装破损", "味道难闻", 1),
    ("a dog runs", "a dog is running", 4), ("a dog runs", "stocks fell", 0), ("good value", "good value indeed", 5),
    ("good value", "the screen broke", 1),
]  # fmt: skip
PARALLEL = [
    ("今天天气很好。", "The weather is fine today."), ("我喜欢喝茶。", "I like to drink tea."),
    ("他住在北京。", "He lives in Beijing."), ("这本书多少钱？", "How much is this book?"),
    ("猫在桌子下面。", "The cat is under the table."), ("我们明天见。", "See you tomorrow."),
    ("她会说三种语言。", "She speaks three languages."), ("请关上门。", "Close the door, please."),
]  # fmt: skip
WRITES = ModelSpec("transformer-encoder-decoder", size="nano", dropout=0.0)
DESIGNS = {
    "text": ModelSpec("transformer-encoder", size="nano", dropout=0.0),
    "image": ModelSpec("resnet", size="nano"),
    "translation": WRITES,
    "summarization": WRITES,
    "causal-lm": ModelSpec("transformer-decoder", size="nano"),  # objectives that need a model of their own
    "text-generation": ModelSpec("transformer-decoder", size="nano"),
    "span-corruption": WRITES,
    "fill-in-the-middle": ModelSpec("transformer-decoder", size="nano"),
    "masked-image": ModelSpec("vit", size="nano"),
    "image-text-contrastive": ModelSpec("dual-encoder", size="nano", dropout=0.0),
}
# One objective and design of each family of backbones, for what must be tried on every family, not on every task.
FAMILIES = {
    "encoder": ("text-classification", DESIGNS["text"]),
    "decoder": ("text-generation", DESIGNS["text-generation"]),
    "encoder-decoder": ("translation", WRITES),
    "cnn": ("image-classification", DESIGNS["image"]),
    "vit": ("image-classification", ModelSpec("vit", size="nano", dropout=0.0)),
}
# At the rate of the others a fresh encoder-decoder writes without looking at what it reads.
RATES = {"span-corruption": 1e-3}
TAUGHT: dict[str, tuple[str, dict[str, Any]]] = {  # objectives that have a teacher: its head, and options besides
    "distillation": ("", {"relations": 1.0}),
    "state-distillation": ("", {}),
    "logit-distillation": (
        "ForMaskedLM",
        {"share": 1.0},
    ),  # both can't be had: the random teacher foretells other tokens
}


def picture(index: int) -> bytes:
    """A plain picture: one colour a row, dark or light by class."""
    stream = io.BytesIO()
    shade = 40 + 20 * index
    Image.new("RGB", (32, 32), (shade, 255 - shade, 40 if index % 2 else 220)).save(stream, "PNG")
    return stream.getvalue()


def pattern(index: int) -> bytes:
    """A picture of black and white squares that no crop or colour makes another's."""
    stream = io.BytesIO()
    squares = numpy.random.default_rng(index).integers(0, 2, (4, 4), dtype=numpy.uint8) * 255
    Image.fromarray(squares).resize((32, 32), Image.Resampling.NEAREST).save(stream, "PNG")
    return stream.getvalue()


def _entities(name: str) -> dict[str, Any]:
    label = "PER" if name in {"王芳", "李雷", "Anna", "张伟"} else "LOC"
    text = f"我在路上遇见 {name} 了"
    start = text.index(name)
    return {"text": text, "spans": [{"start": start, "end": start + len(name), "label": label}]}


def _question(name: str) -> dict[str, Any]:
    text = f"{name} 在门口等"
    return {"question": f"谁在门口等？{name}？", "context": text, "answers": [{"text": name, "start": 0}]}


ROWS: Mapping[str, list[dict[str, Any]]] = {
    "text-classification": [{"text": text, "label": "bad" if i % 2 else "good"} for i, text in enumerate(TEXTS)],
    "sentence-similarity": [{"text": a, "text_pair": b, "score": score} for a, b, score in PAIRS],
    "token-classification": [_entities(name) for name in NAMES],
    "intent-slots": [
        {"text": f"{verb} {name} 吧", "intent": verb, "slots": {"place": name}}
        for verb, name in zip(["去", "看"] * 4, NAMES, strict=True)
    ],
    "question-answering": [_question(name) for name in NAMES],
    "multiple-choice": [
        {"question": f"{text}: {i}", "choices": ["好", "坏", "无法判断"][: 2 + i % 2], "answer": i % 2}
        for i, text in enumerate(TEXTS)
    ],
    "image-classification": [{"image": picture(i), "label": "b" if i % 2 else "a"} for i in range(8)],
    "translation": [{"source": chinese, "target": english} for chinese, english in PARALLEL],
    "summarization": [
        {"document": f"{english} {TEXTS[i]}。", "summary": english.rstrip(".?")}
        for i, (_, english) in enumerate(PARALLEL)
    ],
    "masked-lm": [{"text": text} for text in TEXTS],
    "causal-lm": [{"text": text} for text in TEXTS],
    **{name: [{"text": text} for text in TEXTS] for name in TAUGHT},
    "next-sentence": [{"text": text} for text in TEXTS],
    "sentence-order": [{"text": text} for text in TEXTS],
    "weighted": [{"text": text} for text in TEXTS],
    "replaced-token-detection": [{"text": text} for text in TEXTS],
    "span-corruption": [{"text": text} for text in ("天地玄黄宇宙洪荒", "日月盈昃辰宿列张") * 4],
    "fill-in-the-middle": [{"text": text} for text in TEXTS],
    "masked-image": [{"image": picture(i)} for i in range(8)],
    "contrastive-views": [{"image": pattern(i)} for i in range(8)],
    "image-text-contrastive": [{"image": pattern(i), "text": text} for i, text in enumerate(TEXTS)],
    "text-generation": [{"prompt": text, "answer": name} for text, name in zip(TEXTS, NAMES, strict=True)],
}


def taught(name: str, folder: Path) -> dict[str, Any]:
    """The options of an objective that has a teacher: a folder of other random weights, made by the same design."""
    if name not in TAUGHT:
        return {}
    spec = DESIGNS["text"]
    base, processor = load.base(spec), load.processor(spec, ROWS[name])
    torch.manual_seed(1)
    head, options = TAUGHT[name]
    load.model(spec, Head(head), base, processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    return {"teacher": ModelSpec(str(folder)), **options}


@dataclass
class Ready:
    """An objective with its rows, a fresh model of fixed random weights, and its processor."""

    objective: Any
    rows: list[Any]
    model: Any
    processor: Any
    base: Base
