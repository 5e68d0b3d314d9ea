"""Small model folders that tests may load, break and compare."""

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from jishi.models import tokenizer

SENTENCES = (
    "今天的天气真好，我们去公园散步。",
    "这个产品的质量很差，我要退货。",
    "The weather is lovely today, let us walk in the park.",
    "Bad quality: the product broke after a day.",
)
ROWS = [{"text": sentence, "text_pair": None} for sentence in SENTENCES] * 2


@pytest.fixture(scope="session")
def words():
    """A tokenizer learnt from the sentences."""
    return tokenizer.train("test", ROWS, max_length=64)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory, words) -> Path:
    """A BertModel folder of two layers, pooling layer included."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture
def copied(bert: Path, tmp_path: Path) -> Path:
    """A copy of the folder to break."""
    return Path(shutil.copytree(bert, tmp_path / "copied"))


@pytest.fixture(scope="session")
def fresh_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty cache for conversions, so that the converter as it is now is tested; removed at the end (it is large)."""
    root = tmp_path_factory.mktemp("cache")
    before = os.environ.get("JISHI_CACHE")
    os.environ["JISHI_CACHE"] = str(root)
    yield root
    os.environ.pop("JISHI_CACHE")
    if before is not None:
        os.environ["JISHI_CACHE"] = before
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def installed() -> Callable[[str], Path]:
    """Where a package's files lie; the test is skipped where it is not installed."""

    def find(package: str) -> Path:
        try:
            return Path(str(distribution(package).locate_file("")))
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed")

    return find
