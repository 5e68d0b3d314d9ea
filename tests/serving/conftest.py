"""A small bundle that answers."""

from pathlib import Path

import pytest
import torch

import tiny
import writers
from jishi.adaptation.bitfit import BitFit
from jishi.adaptation.lora import LoRA
from jishi.core import bundle, spec
from jishi.core.contracts import Adaptation
from jishi.models import learnt, load
from jishi.models.chat import Chat
from jishi.models.decoding import Decoding
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor
from jishi.tasks.question_answering import QuestionAnswering
from jishi.tasks.sentence_similarity import SentenceSimilarity
from jishi.tasks.text_classification import TextClassification
from jishi.tasks.text_generation import TextGeneration

WORDS = "good bad fine great poor movie the a not very works well broke after one day fast slow 好 坏 用"
LABELS = ("negative", "positive")


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sentiment model whose head was drawn at random, with the probes it answered."""
    processor = tiny.tokenizer(WORDS)
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: index for index, name in enumerate(LABELS)}}
    model = tiny.sequence_classifier(len(processor), **names)
    model.classifier.weight.data *= 30  # far from even
    task = TextClassification(problem="single", labels=LABELS, prefix="", max_length=64, temperature=1.25)
    words = WORDS.split()
    texts = [" ".join(words[index * step % len(words)] for step in range(1, 4 + index % 7)) for index in range(80)]
    rows = [{"text": text, "text_pair": None, "label": LABELS[0]} for text in texts]
    probes = Predictor(model, task, processor, {}).probe(rows, count=16)
    record = {
        "task": spec.dump(task),
        "scores": {"part": "test", "rows": 80, "accuracy": 0.9125},
        "versions": {"torch": "2"},
    }
    path = tmp_path_factory.mktemp("reviews") / "bundle"
    return bundle.write(path, model=model, processor=processor, record=record, probes=probes, card="# A model").path


@pytest.fixture(scope="session")
def predictor(bundle_path: Path) -> Predictor:
    return Predictor.load(bundle_path)


@pytest.fixture(scope="session")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A tiny question answerer whose best answer is one word."""
    processor = tiny.tokenizer("who ran Ann met Bob")
    model = tiny.question_answerer(len(processor))
    task = QuestionAnswering(max_length=32, max_answer_length=1)
    path = tmp_path_factory.mktemp("answers") / "bundle"
    bundle.write(path, model=model, processor=processor, record={"task": spec.dump(task)}, probes=[], card="# A model")
    return Predictor.load(path)


@pytest.fixture(scope="session")
def adapter_paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three adapters of one base, by two methods, each with labels and answers of its own."""
    folder = tmp_path_factory.mktemp("adapters")
    processor = tiny.tokenizer(WORDS)
    tiny.masked_lm(len(processor)).save_pretrained(folder / "base")
    processor.save_pretrained(folder / "base")
    origin = ModelSpec(str(folder / "base"))
    texts = [" ".join(WORDS.split()[index : index + 1 + index % 7]) for index in range(20)]
    return [
        _adapter(folder, origin, name, adapt, texts)
        for name, adapt in {"colours": LoRA(), "sizes": LoRA(rank=4), "tones": BitFit()}.items()
    ]


@pytest.fixture(scope="session")
def writer() -> Predictor:
    """A tiny model that answers conversations, over bytes; its weights are random, and so is what it writes."""
    processor = writers.bytewise()
    task = TextGeneration(
        form="conversation", max_length=64, chat=Chat("plain").settled(), decoding=Decoding(max_new_tokens=12)
    )
    return Predictor(writers.decoder(len(processor)), task, processor, {})


@pytest.fixture(scope="session")
def writer_path(writer: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(writer, tmp_path_factory.mktemp("writer") / "bundle")


@pytest.fixture(scope="session")
def similar_path(similar: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(similar, tmp_path_factory.mktemp("similar") / "bundle")


@pytest.fixture(scope="session")
def similar() -> Predictor:
    """A tiny model that makes vectors of texts, and says of two how alike they are."""
    processor = tiny.tokenizer(WORDS)
    task = SentenceSimilarity(criterion="contrastive", prefix="", passage_prefix="the ", pooling="mean", max_length=32)
    return Predictor(tiny.masked_lm(len(processor)).bert.eval(), task, processor, {})


def _written(made: Predictor, path: Path) -> Path:
    record = {"task": spec.dump(made.task)}
    return bundle.write(
        path, model=made.model, processor=made.processor, record=record, probes=[], card="# A model"
    ).path


def _adapter(folder: Path, origin: ModelSpec, name: str, adapt: Adaptation, texts: list[str]) -> Path:
    labels = tuple(f"{name}-{number}" for number in range(3))
    task = TextClassification(problem="single", labels=labels, prefix="", max_length=64)
    processor = load.processor(origin)
    model = adapt.apply(load.model(origin, task.head(), load.base(origin), processor), task).eval()
    torch.manual_seed(len(name))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.3 * torch.randn_like(weight)
    path = folder / name / "bundle"
    rows = [{"text": text, "text_pair": None, "label": labels[0]} for text in texts]
    record = {
        "task": spec.dump(task), "adaptation": spec.dump(adapt), "model": spec.dump(origin), "scores": {},
        "versions": {}, "base": learnt.base(origin, path),
    }  # fmt: skip
    probes = Predictor(learnt.plain(model), task, processor, {}).probe(rows, count=8)
    kept = learnt.Learnt(model, "base")
    return bundle.write(path, model=kept, processor=None, record=record, probes=probes, card="# A model").path
