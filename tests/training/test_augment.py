"""Training rows are varied by seed, epoch and row; what judges, what is recorded and what a head is fitted on never is."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy
import pytest
import torch

import tiny
from eight import pattern
from jishi.augmentation.eda import EDA
from jishi.augmentation.flip import Flip
from jishi.augmentation.homophone import Homophone
from jishi.augmentation.synonym import Synonym
from jishi.core import spec
from jishi.core.contracts import Augmentation, Task
from jishi.core.document import Document
from jishi.core.errors import TrainingError
from jishi.models import load, pixels
from jishi.models.spec import ModelSpec
from jishi.objectives.masked_lm import MaskedLM
from jishi.tasks.image_classification import ImageClassification
from jishi.tasks.question_answering import QuestionAnswering
from jishi.tasks.text_classification import TextClassification
from jishi.tasks.text_generation import TextGeneration
from jishi.tasks.token_classification import TokenClassification
from jishi.training import guards
from jishi.training.augment import Augment
from jishi.training.features import Encoded
from jishi.training.feed import Maker, varied
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
from points import run

TASK = TextClassification(problem="single", labels=("bad", "good"), prefix="", max_length=32)
WORDS, SYNONYMS = "my money is gone the a not bad good", "cash fine nice poor"
UNSEEN = " ".join(f"unseen{number}" for number in range(30))
PROCESSOR = tiny.tokenizer(f"{WORDS} {SYNONYMS} behind {UNSEEN}")
ROWS_OF_TEXT = [
    {"text": f"my money is {word}", "label": label} for word, label in (("good", "good"), ("bad", "bad"))
] * 4
ALWAYS = Synonym(share=1.0, rate=1.0)
GOOD = {"my cash is fine", "my cash is nice"}  # what "my money is good" may become


@dataclass(frozen=True)
class Noted(Augmentation):
    """Puts a word at the end."""

    modality: ClassVar[str] = "text"
    share: float = 1.0

    def vary(self, raw: str, rng: Any) -> str:
        return f"{raw} behind"


def augment(
    ways: Any, task: Any = TASK, rows: Any = ROWS_OF_TEXT, processor: Any = PROCESSOR
) -> tuple[Augment, Encoded]:
    features = Encoded(task, rows, processor)
    return Augment.of(ways, task, rows, features, processor), features


def words(features: Any) -> str:
    return PROCESSOR.decode(features["input_ids"], skip_special_tokens=True)


def training(
    folder: Any, rows: Any = ROWS_OF_TEXT, task: Any = TASK, processor: Any = PROCESSOR, **settings: Any
) -> Loop:
    plain = {"epochs": 3, "batch_size": 4, "precision": "fp32", "threads": 1, "max_unknown": 0.5}
    return Loop(
        tiny.sequence_classifier(len(processor), num_labels=2), task, processor, TrainSpec(**{**plain, **settings}),
        train=rows, validation=ROWS_OF_TEXT, head=["classifier"], learning_rate=1e-2, folder=folder, seed=0,
    )  # fmt: skip


def test_a_spec_takes_a_name_or_several_with_their_keys():
    build = lambda given: spec.build(TrainSpec, Document({"augment": given}, "test")).augment  # noqa: E731
    assert build("eda") == (EDA(),) and build([{"name": "eda", "alpha": 0.2}, "homophone"]) == (
        EDA(rate=0.2),
        Homophone(),
    )


def test_a_row_is_varied_by_seed_epoch_and_row_and_keeps_its_label():
    one, features = augment([ALWAYS])
    drawn = {words(one(features[0], 0, [0, epoch, 0])) for epoch in range(20)}
    assert drawn == GOOD
    for seed in ([0, 1, 2], [0, 2, 2]):
        first, again = one(features[2], 2, seed), one(features[2], 2, seed)
        assert words(first) == words(again) and first["labels"] == features[2]["labels"]
    assert words(features[0]) == "my money is good"  # what is kept of a row stays


def test_draws_of_ways_are_not_those_of_masking():
    """numpy's seeds take a trailing 0 for nothing: the number that sets them apart must be another."""
    one = Augment({"text": [Noted()]}, TASK, ROWS_OF_TEXT, PROCESSOR)
    seen = []
    one._revised({}, 0, [5, 6, 7], lambda rng, _, value: seen.append(rng.random()) or value)
    assert seen != [numpy.random.default_rng([5, 6, 7]).random()]


def test_the_share_of_varied_rows_is_the_one_asked_for():
    rows = [{"text": "my money", "label": "good"}] * 1000
    one, features = augment([Synonym(share=0.3, rate=1.0)], rows=rows)
    count = sum(words(one(own, row, [0, 0, row])) == "my cash" for row, own in enumerate(features))
    assert abs(count - 300) < 3 * (1000 * 0.3 * 0.7) ** 0.5
    told = one.told(features, 0)
    assert 0.1 < told["varied"] < 0.5 and told["length"] == 1.0 and told["unknown"] == 0.0 and told["milliseconds"] > 0


def test_ways_follow_one_another():
    one, features = augment([ALWAYS, Noted()])
    for epoch in range(20):
        assert words(one(features[0], 0, [0, epoch, 0])) in {f"{text} behind" for text in GOOD}


def test_only_training_batches_are_varied(tmp_path):
    loop = training(tmp_path, augment=(ALWAYS,))
    make = loop._maker()
    clean = make([0, 1], training=False)["input_ids"]
    assert torch.equal(clean, Maker(TASK, PROCESSOR, loop.features, 0, 0)([0, 1])["input_ids"])
    assert not torch.equal(make([0, 1])["input_ids"], clean)
    assert varied(TASK, loop.held_out, 0, PROCESSOR, [0, 0], training=False) is loop.held_out[0]
    events = run(loop)
    told = next(event for event in events if event.kind == "start").values["augment"]
    assert told["varied"] == 1.0
    assert [words(row) for row in loop.held_out] == [row["text"] for row in ROWS_OF_TEXT]


def test_a_head_is_fitted_on_the_rows_as_they_are(tmp_path):
    heads = []
    for ways in ((), (ALWAYS,)):
        loop = training(tmp_path / str(len(ways)), augment=ways, fit_head="before", head_strength=1.0, max_steps=1)
        loop.model.eval()
        loop._fit_head()
        heads.append(loop.model.classifier.weight.detach().clone())
    assert torch.equal(*heads)


def test_words_that_ways_bring_in_learn_too(tmp_path, monkeypatch):
    """The optimizer holds the rows of the embedding that training shows, those of varied texts among them."""
    plain, more = (training(tmp_path / str(len(ways)), augment=ways).used.used for ways in ((), (ALWAYS,)))
    ids = PROCESSOR.convert_tokens_to_ids(SYNONYMS.split())
    assert set(more.tolist()) == {*plain.tolist(), *ids} and not set(ids) & set(plain.tolist())
    monkeypatch.setattr("jishi.training.augment.LOOKED", 23)  # three epochs of eight rows are more: all of it learns
    assert training(tmp_path / "all", augment=(ALWAYS,)).used is None


def test_what_a_frozen_part_says_is_not_recorded(tmp_path):
    for ways, expected in (((), True), ((ALWAYS,), False)):
        model = tiny.sequence_classifier(len(PROCESSOR), num_labels=2)
        for weight in model.bert.parameters():
            weight.requires_grad = False
        loop = Loop(
            model, TASK, PROCESSOR, TrainSpec(augment=ways, batch_size=4, precision="fp32", threads=1), train=ROWS_OF_TEXT,
            validation=None, head=["classifier"], learning_rate=1e-2, folder=tmp_path, seed=0,
        )  # fmt: skip
        assert loop.records is expected


ENTITIES = [
    {"text": "王芳去北京", "spans": [{"start": 0, "end": 2, "label": "PER"}, {"start": 3, "end": 5, "label": "LOC"}]}
]
TAGS = TokenClassification(labels=("LOC", "PER"), max_length=32)


def test_where_answers_point_into_a_text_only_characters_are_replaced():
    alike = "".join(
        Homophone().vary(one["text"], numpy.random.default_rng(seed)) for one in ENTITIES for seed in range(200)
    )
    processor = tiny.tokenizer(" ".join(sorted({*alike, *"王芳去北京"})))
    one, features = augment([Homophone(share=1.0, rate=1.0)], TAGS, ENTITIES, processor)
    for epoch in range(20):
        found = one(features[0], 0, [0, epoch, 0])
        assert found["text"] != ENTITIES[0]["text"] and found["labels"].tolist() == features[0]["labels"].tolist()
    with pytest.raises(TrainingError, match=r"moves characters.*homophone, keyboard"):
        augment([EDA()], TAGS, ENTITIES, processor)


def test_of_a_question_and_its_text_only_the_question_is_put_otherwise():
    rows = [
        {"question": "where is my money", "context": "my money is gone", "answers": [{"text": "gone", "start": 12}]}
    ]
    task = QuestionAnswering(max_length=32)
    seen = {}
    one, features = augment([ALWAYS], task, rows)
    task.revise(
        features[0],
        rows[0],
        PROCESSOR,
        lambda column, value: seen.update({column: one._change(numpy.random.default_rng(0), column, value)}) or value,
    )
    assert seen == {"question": "where is my cash", "context": "my money is gone"}


def test_what_can_not_be_varied_says_so(tmp_path):
    english = [{"text": "my money", "label": "good"}]
    with pytest.raises(TrainingError, match="homophone changed none of 1 training rows"):
        augment([Homophone()], rows=english)
    with pytest.raises(TrainingError, match="flip varies columns of the kind image, and text-classification has none"):
        augment([Flip()])
    with pytest.raises(TrainingError, match="masked-lm learns from the rows themselves"):
        augment([ALWAYS], MaskedLM())
    with pytest.raises(TrainingError, match="text-generation has none"):
        Augment.of([ALWAYS], TextGeneration(), [{"text": "my money"}], [{}], PROCESSOR)
    with pytest.raises(TrainingError, match="epochs=0 has none"):
        training(tmp_path, augment=(ALWAYS,), epochs=0, fit_head="before")
    assert Augment.of((), MaskedLM(), [], [], None) is None


def test_words_unknown_to_the_vocabulary_are_refused_beyond_the_share_allowed(tmp_path):
    few = tiny.tokenizer(WORDS)  # the words that would be put in are not there
    with pytest.raises(TrainingError, match="unknown"):
        training(tmp_path, processor=few, augment=(ALWAYS,), max_unknown=0.2)
    guards.check_unknown(0.2, 0.2)


def picture_task() -> tuple[Task, Any, list[dict[str, Any]]]:
    task, rows = ImageClassification(labels=("a", "b")), [{"image": pattern(i), "label": "ab"[i % 2]} for i in range(8)]
    return task, load.processor(ModelSpec("resnet", size="nano"), rows), rows


def test_pictures_are_varied_in_the_model_s_size_in_the_place_of_the_task_s_own_way():
    task, processor, rows = picture_task()
    one, features = augment([Flip(share=0.5)], task, rows, processor)
    own = features[0]["pixels"]
    seen = set()
    for epoch in range(40):
        found = varied(task, features, 0, processor, [0, epoch, 0], training=True, augment=one)["pixels"]
        mirrored = numpy.array_equal(found, own[:, :, ::-1])
        assert mirrored or numpy.array_equal(found, own)
        seen.add(mirrored)
    assert seen == {True, False}
    plain = varied(task, features, 0, processor, [0, 0, 0], training=True)["pixels"]
    assert not numpy.array_equal(plain, own)  # turned, shifted and lit where no way is named
    assert numpy.array_equal(pixels.changed(own, lambda picture: picture), own)
