"""A small bundle that answers."""

from pathlib import Path

import pytest

import tiny
from jishi.core import bundle, spec
from jishi.predictor import Predictor
from jishi.tasks.question_answering import QuestionAnswering
from jishi.tasks.text_classification import TextClassification

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
