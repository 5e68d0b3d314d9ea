"""A teacher small enough to make in a test."""

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel

from tiny import tokenizer

WORDS = " ".join(f"w{number}" for number in range(40))
SHAPE = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 32}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def taught(tmp_path: Path):
    """A folder of a BERT four blocks deep that averages and wants "w0 " before a text; with the head of a language model."""

    def make(name: str = "teacher", *, seed: int = 0, words: str = WORDS, language: bool = False, **shape: int) -> Path:
        torch.manual_seed(seed)
        folder, processor = tmp_path / name, tokenizer(words, max_length=32)
        config = BertConfig(vocab_size=len(processor), num_hidden_layers=4, initializer_range=0.3, **{**SHAPE, **shape})
        (BertForMaskedLM if language else BertModel)(config).save_pretrained(folder)
        processor.save_pretrained(folder)
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        said["jishi"] = {"pooling": "mean", "prefix": "w0 ", "passage_prefix": ""}
        (folder / "config.json").write_text(json.dumps(said), encoding="utf-8")
        return folder

    return make
