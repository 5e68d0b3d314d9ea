import gzip
import json
import math
import re
from types import SimpleNamespace

import numpy
import pytest
import torch

from conftest import DATA
from jishi.core.contracts import Base
from jishi.core.errors import DataError, RowError
from jishi.core.script import units
from jishi.models import heads, inference, load
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor
from jishi.tasks._spans import to_bio, to_bioes
from jishi.tasks.token_classification import TokenClassification
from jishi.training.features import Encoded
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
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
        {"spans": [{"start": 0, "end": 3, "slot": "PER"}, {"start": 8, "end": 11, "type": "PER"}]},
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
        ({"text": "abc", "spans": [span(0, 3), span(1, 2)]}, "spans-nested"),
        ({"text": "abc", "spans": [span(0, 1), span(0, 3)]}, "spans-nested"),
        ({"text": "abc", "spans": [span(0, 1), span(0, 1)]}, "spans-nested"),
        ({"text": "abc", "spans": [span(0, 1)], "entities": [span(0, 2)]}, "forms-differ"),
        ({"text": "a b", "tokens": ["a", "b"], "tags": ["O", "B-PER"], "spans": [span(0, 1)]}, "forms-differ"),
        ({"text": "a b", "tokens": ["a", "b"], "tags": ["O", "B-PER"], "spans": []}, "forms-differ"),
        ({"text": "a b", "tokens": ["a"], "tags": ["O"]}, "tokens-not-in-text"),
        ({"text": "a b", "tokens": ["b", "a"], "tags": ["O", "O"]}, "tokens-not-in-text"),
        ({"text": "a b", "tags": ["O", "O"]}, "tags-alone"),
        ({"text": "cafe\u0301 a", "spans": [span(0, 4)]}, "span-cuts-character"),
        ({"text": "e\u0301a", "spans": [span(1, 3)]}, "span-cuts-character"),
        ({"text": "\U0001f468\u200d\U0001f469!", "spans": [span(0, 1)]}, "span-cuts-character"),
        ({"text": "\U0001f468\u200d\U0001f469!", "spans": [span(2, 3)]}, "span-cuts-character"),
        ({"text": "\U0001f44d\U0001f3fd", "spans": [span(0, 1)]}, "span-cuts-character"),
        ({"text": "\U0001f1e8\U0001f1f3\U0001f1eb\U0001f1f7", "spans": [span(0, 3)]}, "span-cuts-character"),
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


def test_forms_that_agree_are_one_and_characters_stay_whole():
    spans = [span(3, 6)]
    both = {
        "text": "see Bob ",
        "spans": [span(4, 7)],
        "entities": '[{"start": 4, "end": 7, "type": "PER", "text": "Bob"}]',
    }
    assert TASK.parse({**both, "tokens": ["see", "Bob"], "tags": ["O", "S-PER"]})["spans"] == [span(4, 7)]
    assert TASK.parse({"text": "a 🇨🇳🇫🇷", "spans": [span(2, 4), span(4, 6)]})["spans"] == [span(2, 4), span(4, 6)]
    assert TASK.parse({"text": "in Zoë\u0301", "spans": [span(3, 7)]})["spans"] == [span(3, 7)]
    assert TASK.parse({"text": "no Bob", "spans": spans})["spans"] == spans


@pytest.mark.parametrize(
    "text", ["我在 New York 买了iPhone 15 Pro，很好。", "全角　空格 与 tab\t都在", "2004年3月 A座 e\u0301"]
)
def test_spans_of_chinese_text_with_spaces_come_back_from_their_tags(text):
    """Whatever the units, each alone and each pair of neighbours: characters → tags → characters."""
    parts = units(text)
    for first in range(len(parts)):
        for last in (first, min(first + 1, len(parts) - 1)):
            row = {"text": text, "spans": [span(parts[first][0], parts[last][1])]}
            words, tags = to_bio(**row)
            assert TASK.parse({"text": text, "tokens": words, "tags": tags}) == row
            assert TASK.parse({"text": text, "tokens": words, "tags": to_bioes(**row)[1]}) == row


class Lookup(torch.nn.Module):
    """A model that says of a token what its id alone tells, whatever stands around it."""

    def __init__(self, size, labels):
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(size, labels, generator=torch.Generator().manual_seed(0)))

    device = torch.device("cpu")

    def forward(self, input_ids, attention_mask):
        return SimpleNamespace(logits=self.table[input_ids])


@pytest.mark.parametrize("stride", [None, 1, 3, 5])
def test_a_long_text_is_answered_and_taught_as_if_it_were_read_at_once(stride):
    """Exact where nothing hangs on neighbours: every token counts once, spans across the edges of windows are whole."""
    words = ["Ann", "met", "Bob", "in", "New", "York", "and", "saw", "no", "one", "at", "all", "there"]
    text = " ".join(words)
    processor = tokenizer(text)
    row = {"text": text, "spans": [span(0, 3), span(8, 11), span(15, 23, "LOC"), span(32, 38)]}
    whole = TokenClassification(labels=("LOC", "PER"))
    parts = TokenClassification(labels=("LOC", "PER"), max_length=7, stride=stride)
    model = Lookup(len(processor), 5)
    short = {"text": "Bob", "spans": [span(0, 3)]}
    found = []
    for task in (whole, parts):
        features = [task.encode(one, processor) for one in (short, row)]
        loss = task.loss(model, task.collate(features, processor))
        outputs = inference.outputs(task, model, features, processor)
        found.append((loss.count, loss.value.item(), task.decode(outputs, features, processor), outputs[1]))
    assert "windows" in features[1] and "windows" not in features[0]
    assert found[0][0] == found[1][0] == len(words) + 1
    assert found[0][1] == pytest.approx(found[1][1])
    assert found[0][2] == found[1][2] and len(found[0][2][1]["entities"]) > 0
    assert torch.equal(found[0][3][: len(found[1][3])], found[1][3])
    assert parts.decode([certain(features[1], parts)], [features[1]], None)[0]["entities"][2]["text"] == "New York"


def test_texts_in_windows_are_learnt_from_beside_short_ones(tmp_path):
    """Through the loop with all that knows rows by their length: packing, pieces, a fitted head, validation."""
    texts = ["Ann met Bob and Ann met Bob and Ann", "Bob ran", "we met Ann", "no one met Bob or Ann today and ran"]
    rows = [{"text": text, "spans": [span(m.start(), m.end()) for m in re.finditer("Ann|Bob", text)]} for text in texts]
    task = TokenClassification(max_length=6).initialize(rows, BASE)
    processor = tokenizer(" ".join(texts))
    model = token_classifier(len(processor), num_labels=3)
    spec = TrainSpec(epochs=20, batch_size=4, learning_rate=3e-3, max_unknown=1.0, fit_head="before", precision="fp32")
    loop = Loop(
        model, task, processor, spec,
        train=rows, validation=rows, head=["classifier"], learning_rate=1e-3, folder=tmp_path, seed=0,
    )  # fmt: skip
    events = list(loop.events(resume=False))
    assert loop.features.truncated == 0 and any("windows" in row for row in loop.features)
    assert loop.update.packs
    judged = [event.values for event in events if event.kind == "validation"]
    assert judged[-1]["f1"] == 1.0


def test_transitions_are_learnt_saved_and_decoded_with(tmp_path):
    long = "Bob met Ann Lee and Bob and Ann Lee"
    texts = ["Ann Lee met Bob", "we met Ann Lee", "Bob ran", "no one ran", "Ann Lee ran", "we met Bob", long, "we ran"]
    rows = [
        {"text": text, "spans": [span(*found.span()) for found in re.finditer("Ann Lee|Bob", text)]} for text in texts
    ]
    base = Base("nano", "text", max_length=8)
    task = TokenClassification(decoding="crf").initialize(rows, base)
    design = ModelSpec("transformer-encoder", size="nano", dropout=0.0)
    processor = load.processor(design, rows)
    torch.manual_seed(0)
    model = load.model(design, task.head(), base, processor)
    assert model.transitions.weight.shape == (4, 3) and not model.transitions.weight.any()
    spec = TrainSpec(epochs=60, batch_size=4, learning_rate=3e-3, max_unknown=1.0, precision="fp32")
    loop = Loop(
        model, task, processor, spec,
        train=rows, validation=rows, head=heads.head_modules(model), learning_rate=1e-3, folder=tmp_path / "run", seed=0,
    )  # fmt: skip
    events = list(loop.events(resume=False))
    assert loop.update.packs and any("windows" in row for row in loop.features)
    assert [event.values["f1"] for event in events if event.kind == "validation"][-1] == 1.0
    scores = model.transitions().detach()
    assert scores[1, 2] > scores[1, 1]  # "Ann" goes on with "Lee"; a name never follows a name
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    again, other = load.reload(tmp_path / "saved", task.head().architecture)
    answers = Predictor(again, task, other, {}).predict(texts)
    assert answers == Predictor(loop.model.eval(), task, processor, {}).predict(texts)
    assert [[found["text"] for found in answer["entities"]] for answer in answers] == [
        re.findall("Ann Lee|Bob", text) for text in texts
    ]
    scores = [found["score"] for answer in answers for found in answer["entities"]]
    assert min(scores) > 0.3 and max(scores) <= 1
    plain = TokenClassification(labels=("PER",))
    fresh = load.model(ModelSpec(str(tmp_path / "saved")), plain.head(), base)
    assert fresh.transitions is None


def test_each_token_alone_may_say_what_a_sequence_may_not():
    processor = tokenizer("a b")
    answers = []
    for decoding in ("argmax", "viterbi"):
        task = TokenClassification(labels=("X", "Y"), decoding=decoding)
        features = task.encode({"text": "a b"}, processor)
        logits = torch.zeros(4, 5)
        logits[1, 1], logits[2, 4], logits[2, 2] = 3.0, 3.0, 2.0  # B-X, then I-Y rather than I-X
        answers.append([(e["text"], e["label"]) for e in task.decode([logits], [features], None)[0]["entities"]])
    assert answers == [[("a", "X"), ("b", "Y")], [("a b", "X")]]


def test_a_stride_beyond_a_window_is_refused():
    rows = [{"text": "abc", "spans": [span(0, 1)]}]
    for stride in (0, 33):
        with pytest.raises(DataError, match="stride"):
            TokenClassification(stride=stride).initialize(rows, BASE)


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


def test_an_entity_that_ends_within_a_word_is_counted_as_not_taught():
    task = TokenClassification(labels=("PER",))
    assert task.encode({"text": "Annette", "spans": [span(0, 3)]}, tokenizer("Ann"))["cut"] == 1
    rows = [{"text": "Annette met Bob", "spans": [span(0, 3), span(12, 15)]}, {"text": "Bob", "spans": [span(0, 3)]}]
    assert Encoded(task, rows, tokenizer("Ann Bob")).cut == 1


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
