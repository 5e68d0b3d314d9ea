import gzip
import json
import math

import numpy
import pytest
import torch

from conftest import DATA
from jishi.core.contracts import Base
from jishi.core.errors import DataError, RowError
from jishi.tasks._spans import to_bio, to_bioes
from jishi.tasks.token_classification import TokenClassification
from tiny import token_classifier, tokenizer

BASE = Base("tiny", "text", max_length=32)
TASK = TokenClassification()


def span(start, end, label="PER"):
    return {"start": start, "end": end, "label": label}


def certain(features, task):
    """Outputs of a model that is sure of the very tags it was taught."""
    logits = numpy.zeros((features["length"], 2 * len(task.labels) + 1))
    for place, tag in enumerate(features["labels"]):
        if tag >= 0:
            logits[place, tag] = 9.0
    return torch.tensor(logits)


def test_chinese_tokens_join_without_a_space_and_others_with_one():
    row = TASK.parse(
        {"tokens": ["在", "New", "York", "2004", "年", "。"], "tags": ["O", "B-LOC", "I-LOC", "O", "O", "O"]}
    )
    assert row == {"text": "在New York 2004年。", "spans": [span(1, 9, "LOC")]}


def test_spans_are_read_in_every_form():
    wanted = {"text": "Ann met Bob", "spans": [span(0, 3), span(8, 11)]}
    forms = [
        {"spans": [span(8, 11), span(0, 3)]},
        {"entities": [span(0, 3), span(8, 11)]},
        {"spans": json.dumps([span(0, 3), span(8, 11)])},
        {"spans": [[0, 3, "PER"], (8, 11, "PER")]},
        {"spans": [{"start": 0, "end": 4, "type": "PER"}, {"start": 7, "end": 11, "type": "PER", "text": " Bob"}]},
    ]
    for form in forms:
        assert TASK.parse({"text": "Ann met Bob", **form}) == wanted
    tokens = {"tokens": '["Ann", "met", "Bob"]', "tags": '["S-PER", "O", "S-PER"]'}
    assert TASK.parse(tokens) == TASK.parse(wanted) == wanted
    assert TASK.parse({"tokens": ["Ann", "met"]}, training=False) == {"text": "Ann met"}


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"text": "abc"}, "spans-missing"),
        ({"text": "abc", "spans": [span(0, 2), span(1, 3)]}, "spans-overlap"),
        ({"text": "abc", "spans": [span(0, 3), span(1, 2)]}, "spans-overlap"),
        ({"text": "abc", "spans": [span(2, 4)]}, "span-outside"),
        ({"text": "abc", "spans": [span(-1, 2)]}, "span-outside"),
        ({"text": "abc", "spans": [span(1, 1)]}, "span-outside"),
        ({"text": "a  c", "spans": [span(1, 3)]}, "span-outside"),
        ({"text": "abc", "spans": [span(0, 1.5)]}, "bad-span"),
        ({"text": "abc", "spans": [{"start": 0, "end": 1}]}, "bad-span"),
        ({"text": "abc", "spans": ["PER"]}, "bad-span"),
        ({"text": "abc", "spans": [{**span(0, 2), "text": "bc"}]}, "span-text"),
        ({"text": "abc", "spans": "PER"}, "not-a-list"),
        ({"tokens": ["a", "b"], "tags": ["O"]}, "tags-length"),
        ({"tokens": ["a", ""], "tags": ["O", "O"]}, "bad-tokens"),
        ({"tokens": ["a"], "tags": [0]}, "tags-not-words"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(row, code):
    with pytest.raises(RowError) as caught:
        TASK.parse(row)
    assert caught.value.code == f"tasks.{code}"
    assert str(caught.value)


def test_labels_are_the_types_of_the_training_rows():
    rows = [{"text": "abc", "spans": [span(0, 1, "b")]}, {"text": "abc", "spans": [span(0, 1, "a")]}]
    task = TASK.initialize(rows, BASE)
    assert (task.labels, task.max_length) == (("a", "b"), 32)
    assert task.head().config["id2label"] == {0: "O", 1: "B-a", 2: "I-a", 3: "B-b", 4: "I-b"}
    for broken, given in ((TASK, [{"text": "abc", "spans": []}]), (TokenClassification(labels=("a",)), rows)):
        with pytest.raises(DataError):
            broken.initialize(given, BASE)


def test_what_is_taught_is_what_is_answered():
    task = TokenClassification(labels=("LOC", "PER"))
    processor = tokenizer("Ann went to New York")
    row = {"text": "Ann went to New York.", "spans": [span(0, 3), span(12, 20, "LOC")]}
    features = task.encode(row, processor)
    assert features["labels"].tolist() == [-100, 3, 0, 0, 1, 2, 0, -100]
    (answer,) = task.decode([certain(features, task)], [features], None)
    sure = math.exp(9) / (math.exp(9) + 4)
    assert [entity["score"] for entity in answer["entities"]] == pytest.approx([sure, sure])
    assert [{k: v for k, v in entity.items() if k != "score"} for entity in answer["entities"]] == [
        {"start": 0, "end": 3, "label": "PER", "text": "Ann"},
        {"start": 12, "end": 20, "label": "LOC", "text": "New York"},
    ]


def test_entities_cut_off_are_counted():
    processor = tokenizer("Ann met Bob")
    task = TokenClassification(labels=("PER",), max_length=4)
    features = task.encode({"text": "Ann met Bob", "spans": [span(0, 3), span(8, 11)]}, processor)
    assert (features["cut"], features["truncated"], features["length"]) == (1, True, 4)
    inside = task.encode({"text": "Annette", "spans": [span(0, 3)]}, processor)
    assert inside["cut"] == 1


def test_types_never_taught_do_not_count_in_the_loss():
    features = TokenClassification(labels=("PER",)).encode(
        {"text": "Ann met", "spans": [span(0, 3, "NEW")]}, tokenizer("Ann met")
    )
    assert features["labels"].tolist() == [-100, -100, 0, -100]


def test_scores_and_credit_are_those_of_whole_entities():
    rows = [{"text": "Ann met Bob", "spans": [span(0, 3), span(8, 11)]}, {"text": "no one", "spans": []}]
    answers = [{"entities": [span(0, 3), span(4, 7)]}, {"entities": []}]
    assert TASK.score(answers, rows)["f1"] == 0.5
    assert [TASK.credit(answer, row) for answer, row in zip(answers, rows, strict=True)] == [0.5, 1.0]
    assert TASK.details(answers, rows)["per_class"][0]["support"] == 2


def test_padding_does_not_change_answers():
    processor = tokenizer("a b c d e f")
    task = TokenClassification(labels=("X",))
    model = token_classifier(len(processor), num_labels=3).eval()
    features = [task.encode({"text": text}, processor) for text in ("a", "b c d e f a b c", "d e")]
    together = task.forward(model, task.collate(features, processor))
    for row, alone in zip(together, features, strict=True):
        single = task.forward(model, task.collate([alone], processor))[0]
        assert torch.allclose(row[: alone["length"]], single, atol=1e-6)


def test_eight_rows_can_be_learnt_by_heart():
    texts = ["Ann met Bob", "Bob ran", "we met Ann", "New York", "in York", "Ann in York", "no one", "ran"]
    names = {"Ann": "PER", "Bob": "PER", "New York": "LOC", "York": "LOC"}
    rows = []
    for text in texts:
        found = [name for name in names if name in text and not (name == "York" and "New York" in text)]
        rows.append(
            TASK.parse({"text": text, "spans": [span(text.index(n), text.index(n) + len(n), names[n]) for n in found]})
        )
    task = TASK.initialize(rows, BASE)
    processor = tokenizer(" ".join(texts))
    model = token_classifier(len(processor), num_labels=5).eval()
    features = [task.encode(row, processor) for row in rows]
    batch = task.collate(features, processor)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(80):
        loss = task.loss(model, batch).value
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 10
    assert task.score(task.decode(task.forward(model, batch), features, None), rows)["f1"] == 1


def test_the_dictionary_takes_the_longest_match_and_drops_what_is_mostly_no_name():
    def row(text, *spans):
        return {"text": text, "spans": list(spans)}

    rows = [
        row("New York", span(0, 8, "LOC")),
        row("York", span(0, 4, "PER")),
        row("May", span(0, 3, "PER")),
        row("may May May", span(4, 7, "MONTH")),
        row("May it be"),
        row("Will", span(0, 4, "PER")),
        row("Will Will"),
    ]
    (answer,) = TASK.baseline(rows).predict([row("In New York, York and Yorkshire with May and Will")])
    assert [(entity["text"], entity["label"]) for entity in answer["entities"]] == [
        ("New York", "LOC"), ("York", "PER"), ("May", "PER")
    ]  # fmt: skip


def test_tags_are_written_back():
    text, spans = "在北京 met", [span(1, 3, "LOC")]
    assert to_bio(text, spans) == (["在", "北", "京", "met"], ["O", "B-LOC", "I-LOC", "O"])
    assert to_bioes(text, spans)[1] == ["O", "B-LOC", "E-LOC", "O"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["uner_gsdsimp_zh", "wnut17"])
def test_real_entities_survive_encoding_and_decoding(name):
    with gzip.open(DATA / name / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [TASK.parse(json.loads(line)) for line, _ in zip(lines, range(500), strict=False)]
    task = TASK.initialize(rows, Base("tiny", "text", max_length=4096))
    processor = tokenizer("the of 的", max_length=4096)
    features = [task.encode(row, processor) for row in rows]
    answers = task.decode([certain(row, task) for row in features], features, None)
    assert task.score(answers, rows)["f1"] > 0.999
