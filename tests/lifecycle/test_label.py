"""The rows most worth a label are queued once, with the bundle's guesses, and a choice that was cut off goes on."""

import json

import numpy
import pytest
import torch

import jishi
import tiny
from commands import jsonl
from eight import picture
from jishi.core import bundle, registry, spec
from jishi.core.contracts import Acquisition
from jishi.core.errors import DataError, ModelError, RowError, UsageError
from jishi.lifecycle import label, queue, unlabelled
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor
from jishi.tasks.image_classification import ImageClassification
from jishi.tasks.question_answering import QuestionAnswering
from jishi.tasks.text_classification import TextClassification

WORDS = "good bad fine great poor movie the a not very works well broke after one day fast slow 好 坏 用"
LABELS = ("negative", "positive")


def written(folder, model, processor, task, rows=()):
    probes = Predictor(model, task, processor, {}).probe(rows, count=8) if rows else []
    return bundle.write(
        folder, model=model, processor=processor, record={"task": spec.dump(task)}, probes=probes, card="# A model"
    ).path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    processor = tiny.tokenizer(WORDS)
    model = tiny.sequence_classifier(len(processor), num_labels=2)
    model.classifier.weight.data *= 30
    task = TextClassification(problem="single", labels=LABELS, prefix="", max_length=64, temperature=1.25)
    return written(
        tmp_path_factory.mktemp("label") / "bundle", model, processor, task, [{"text": "good", "label": LABELS[0]}]
    )


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A bundle that gives any number of labels."""
    processor = tiny.tokenizer(WORDS)
    model = tiny.sequence_classifier(len(processor), num_labels=3)
    task = TextClassification(problem="multi", labels=("a", "b", "c"), prefix="", max_length=64)
    return written(tmp_path_factory.mktemp("tags") / "bundle", model, processor, task)


@pytest.fixture(scope="module")
def seer(tmp_path_factory):
    """A bundle that classifies pictures."""
    design = ModelSpec("resnet", size="nano")
    base, processor = load.base(design), load.processor(design)
    task = ImageClassification(labels=("dark", "light"))
    torch.manual_seed(0)
    return written(
        tmp_path_factory.mktemp("seer") / "bundle", load.model(design, task.head(), base, processor), processor, task
    )


@pytest.fixture
def texts(tmp_path):
    rng = numpy.random.default_rng(0)
    rows = [{"id": n, "text": " ".join(rng.choice(WORDS.split(), 4 + n % 7))} for n in range(40)]
    return jsonl(tmp_path / "texts.jsonl", rows)


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ask(classifier, data, tmp_path, **settings):
    return jishi.label(classifier, data=str(data), out=str(tmp_path / "queue.jsonl"), **settings)


def test_the_least_certain_come_first_with_the_bundles_own_answers(classifier, texts, tmp_path):
    told = ask(classifier, texts, tmp_path, count=5)
    rows = read(tmp_path / "queue.jsonl")
    unique = {row["text"]: row for row in read(texts)}
    assert (
        told == {"queue": str(tmp_path / "queue.jsonl"), "asked": 5, "read": 40, "left_out": {}} and len(unique) == 40
    )
    answers = dict(zip(unique, jishi.predict(classifier, list(unique)), strict=True))
    leads = {text: abs(answer["scores"]["positive"] - answer["scores"]["negative"]) for text, answer in answers.items()}
    assert leads[rows[0]["text"]] == min(leads.values())
    for row in rows:
        answer = answers[row["text"]]
        assert row["id"] == unique[row["text"]]["id"] and "label" not in row
        assert row["guess"]["label"] == answer["label"] and row["guess"]["by"] == "margin"
        assert row["guess"]["score"] == pytest.approx(answer["score"], abs=1e-4)
        assert row["guess"]["scores"] == pytest.approx(answer["scores"], abs=1e-4)
    assert not list(tmp_path.glob(".queue*"))


def test_no_row_is_asked_for_twice(classifier, texts, tmp_path):
    ask(classifier, texts, tmp_path, count=6)
    first = (tmp_path / "queue.jsonl").read_text(encoding="utf-8")
    told = ask(classifier, texts, tmp_path, count=6)
    both = read(tmp_path / "queue.jsonl")
    assert (tmp_path / "queue.jsonl").read_text(encoding="utf-8").startswith(first) and len(both) == 12
    assert len({row["text"] for row in both}) == 12 and told["left_out"] == {"known": 6}
    jsonl(tmp_path / "old.jsonl", [{"text": row["text"], "label": "positive"} for row in read(texts)[:30]])
    jsonl(queue.beside(tmp_path / "queue.jsonl"), [{"text": read(texts)[31]["text"], "label": "negative"}])
    ask(classifier, texts, tmp_path, count=40, labelled=[str(tmp_path / "old.jsonl")])
    assert len(read(tmp_path / "queue.jsonl")) > 12
    known = {row["text"] for row in read(texts)[:30]} | {read(texts)[31]["text"]}
    assert not known & {row["text"] for row in read(tmp_path / "queue.jsonl")[12:]}
    with pytest.raises(DataError, match="none is left"):
        ask(classifier, texts, tmp_path, labelled=[str(tmp_path / "old.jsonl")])


def test_rows_that_have_a_label_are_left_out_wherever_they_stand(classifier, tmp_path):
    rows = [
        {"text": "good"},
        {"text": "bad", "label": "negative"},
        {"text": "good", "label": "positive"},
        {"text": "fine", "label": ""},
    ]
    told = ask(classifier, jsonl(tmp_path / "some.jsonl", rows), tmp_path)
    assert [row["text"] for row in read(tmp_path / "queue.jsonl")] == ["fine"]
    assert told["left_out"] == {"had_label": 2, "known": 1}


@pytest.mark.parametrize("by", registry.names(Acquisition))
def test_every_way_to_choose_works_on_a_bundle(classifier, tagger, texts, tmp_path, by):
    for count, one in enumerate((classifier, tagger), 1):
        (tmp_path / str(count)).mkdir()
        few = {"passes": 2} if by == "bald" else {}
        ask(one, texts, tmp_path / str(count), by={"name": by, **few}, count=7)
        rows = read(tmp_path / str(count) / "queue.jsonl")
        assert len(rows) == 7 and {row["guess"]["by"] for row in rows} == {by}


def test_of_several_labels_the_guess_is_as_sure_as_its_least_sure_one(tagger, texts, tmp_path):
    ask(tagger, texts, tmp_path, count=3)
    for row in read(tmp_path / "queue.jsonl"):
        answer = jishi.predict(tagger, [row["text"]])[0]
        assert row["guess"]["labels"] == answer["labels"] and "label" not in row["guess"]
        assert row["guess"]["score"] == pytest.approx(min(max(p, 1 - p) for p in answer["scores"].values()), abs=1e-4)


def test_a_guess_says_how_sure_it_is():
    scores, task = numpy.array([0.9, 0.3, 0.8]), TextClassification()
    one = queue.guess(task, "abc", scores, numpy.array([True, False, False]), several=False, by="margin")
    assert (one["label"], one["score"], one["scores"]) == ("a", 0.9, {"a": 0.9, "b": 0.3, "c": 0.8})
    some = queue.guess(task, "abc", scores, numpy.array([True, False, True]), several=True, by="margin")
    assert (some["labels"], some["score"]) == (["a", "c"], 0.7)  # least sure that it is not b
    none = queue.guess(task, "abc", scores - 0.5, numpy.zeros(3, dtype=bool), several=True, by="margin")
    assert (none["labels"], none["score"]) == ([], 0.6)


def test_pictures_are_known_by_what_they_show_and_bad_ones_named(seer, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.png").write_bytes(picture(number % 5))
    told = ask(seer, folder, tmp_path, count=4, by="badge")
    rows = read(tmp_path / "queue.jsonl")
    assert told["left_out"] == {"repeated": 1} and len(rows) == 4
    assert {row["image"] for row in rows} <= {str(folder / f"{number}.png") for number in range(5)}
    (folder / "bad.png").write_bytes(b"no picture")
    with pytest.raises(RowError, match=r"bad\.png"):
        ask(seer, folder, tmp_path)
    told = jishi.label(seer, data={"train": str(folder), "on_bad_row": "skip"}, out=str(tmp_path / "queue.jsonl"))
    assert told["asked"] == 1 and told["left_out"] == {"refused": 1, "known": 5}


def test_a_bad_row_is_named_by_file_and_line(classifier, tmp_path):
    data = tmp_path / "bad.jsonl"
    data.write_text('{"text": "good"}\n{"text": }\n', encoding="utf-8")
    with pytest.raises(RowError, match=r"bad\.jsonl:2"):
        ask(classifier, data, tmp_path)
    jsonl(data, [{"text": "good"}, {"words": "x"}])
    with pytest.raises(RowError, match=r"bad\.jsonl:2"):
        ask(classifier, data, tmp_path)
    assert not (tmp_path / "queue.jsonl").exists()


def test_columns_are_renamed_and_a_missing_one_named(classifier, tmp_path):
    data = jsonl(tmp_path / "renamed.jsonl", [{"review": "good", "stars": 4}, {"review": "bad", "stars": 1}])
    with pytest.raises(DataError, match="revew"):
        jishi.label(classifier, data={"train": str(data), "columns": {"text": "revew"}}, out=str(tmp_path / "q.jsonl"))
    jishi.label(classifier, data={"train": str(data), "columns": {"text": "review"}}, out=str(tmp_path / "q.jsonl"))
    assert sorted(row["text"] for row in read(tmp_path / "q.jsonl")) == ["bad", "good"]
    assert all(row["stars"] for row in read(tmp_path / "q.jsonl"))
    data.write_text(data.read_text() + '{"review": "fine"}\n{"review": "great"}\n')
    known = [
        jsonl(tmp_path / "a.jsonl", [{"review": "fine"}]),
        jsonl(tmp_path / "b.jsonl", [{"text": "great", "label": "x"}]),
    ]
    with pytest.raises(DataError, match="known 4"):  # by either name
        jishi.label(
            classifier, data={"train": str(data), "columns": {"text": "review"}}, out=str(tmp_path / "q.jsonl"),
            labelled=list(map(str, known)),
        )  # fmt: skip


def test_a_choice_that_was_cut_off_goes_on(classifier, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(label, "AT_ONCE", 10)
    real, asked = unlabelled.ask, []

    def killed(predictor, rows, *more):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(len(rows))
        return real(predictor, rows, *more)

    monkeypatch.setattr(unlabelled, "ask", killed)
    with pytest.raises(KeyboardInterrupt):
        ask(classifier, texts, tmp_path, count=5)
    assert not (tmp_path / "queue.jsonl").exists()
    monkeypatch.setattr(
        unlabelled, "ask", lambda predictor, rows, *more: asked.append(len(rows)) or real(predictor, rows, *more)
    )
    ask(classifier, texts, tmp_path, count=5)
    kept = read(tmp_path / "queue.jsonl")
    assert asked == [10] * 4  # none of them twice
    (tmp_path / "anew").mkdir()
    ask(classifier, texts, tmp_path / "anew", count=5)
    assert read(tmp_path / "anew" / "queue.jsonl") == kept


def test_passes_differ_and_follow_from_the_seed_and_leave_the_model_as_it_was(classifier):
    predictor = jishi.load(classifier)
    rows = [{"text": text} for text in ("good movie", "a", "very bad 好", "one day")]
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, again, other = (unlabelled.ask(predictor, rows, 3, seed)["passes"] for seed in (0, 0, 1))
    assert one.shape == (3, 4, 2) and (one == again).all() and (one != other).any()
    assert (one[0] != one[1]).any()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert "forward" not in vars(next(m for m in predictor.model.modules() if isinstance(m, torch.nn.Dropout)))
    plain = unlabelled.ask(predictor, rows)
    assert "passes" not in plain and plain["probabilities"].shape == (4, 2)


def test_vectors_are_what_the_head_reads_in_the_order_of_the_rows(classifier):
    predictor = jishi.load(classifier)
    rows = [{"text": text} for text in ("good movie the a not", "a", "very bad 好", "one day fast slow 好 坏 用")]
    vectors = unlabelled.ask(predictor, rows)["vectors"]
    head = predictor.model.classifier
    said = torch.tensor(vectors) @ head.weight.detach().T + head.bias.detach()
    assert torch.allclose(said, torch.stack(predictor.outputs(rows)), atol=1e-5)


def test_what_can_not_be_chosen_by_is_refused_with_its_cure(tmp_path, texts, classifier):
    processor = tiny.tokenizer(WORDS)
    answers = written(
        tmp_path / "answers", tiny.question_answerer(len(processor)), processor, QuestionAnswering(max_length=32)
    )
    with pytest.raises(UsageError, match="question-answering of this bundle gives no probability"):
        ask(answers, texts, tmp_path)
    still = tiny.sequence_classifier(len(processor), num_labels=2, hidden_dropout_prob=0.0, classifier_dropout=0.0)
    for layer in still.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    still.config.attention_probs_dropout_prob = 0.0
    task = TextClassification(problem="single", labels=LABELS, prefix="", max_length=64)
    with pytest.raises(ModelError, match="has no dropout"):
        ask(written(tmp_path / "still", still, processor, task), texts, tmp_path, by="bald")
    assert not list(tmp_path.glob(".queue*"))
    with pytest.raises(DataError, match=r"ends in \.jsonl"):
        jishi.label(classifier, data=str(texts), out=str(tmp_path / "queue.csv"))
    with pytest.raises(RowError, match="no queue"):
        jishi.label(classifier, data=str(texts), out=str(texts))
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be written"):
        jishi.label(classifier, data=str(texts), out=str(tmp_path / "file" / "queue.jsonl"))


def test_core_set_sees_what_is_known(classifier, texts, tmp_path, monkeypatch):
    seen = []
    plugin = registry.get(Acquisition, "core-set")
    real = plugin.choose
    monkeypatch.setattr(plugin, "choose", lambda self, rows, *more: seen.append(rows) or real(self, rows, *more))
    ask(classifier, texts, tmp_path, count=3, by="core-set")
    ask(classifier, texts, tmp_path, count=3, by="core-set")
    assert seen[0].labelled is None and seen[1].labelled.shape == (3, 32)
    whole, left, known = (numpy.abs(found).sum() for found in (seen[0].vectors, seen[1].vectors, seen[1].labelled))
    assert whole == pytest.approx(left + known, rel=1e-4)
