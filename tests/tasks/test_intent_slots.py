import json
import math

import numpy
import pytest
import torch

from jishi.core.contracts import Base
from jishi.core.errors import DataError, RowError
from jishi.models import inference
from jishi.tasks.intent_slots import IntentSlots
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
from tiny import token_classifier, tokenizer

BASE = Base("tiny", "text", pooling="mean", max_length=32)
TASK = IntentSlots()


def span(start, end, label):
    return {"start": start, "end": end, "label": label}


WANTED = {"text": "fly to York on 5 May", "intent": "book", "slots": [span(7, 11, "city"), span(15, 20, "day")]}


def test_slots_are_read_in_every_form():
    spans = WANTED["slots"]
    tokens = {"tokens": WANTED["text"].split(), "tags": ["O", "O", "B-city", "O", "B-day", "I-day"]}
    forms = [
        {"slots": spans},
        {"spans": spans[::-1]},
        {"slots": json.dumps(spans)},
        {"slots": {"city": "York", "day": "5 May"}},
        {"slots": {"day": ["5 May"], "city": "York", "seat": None, "class": ""}},
        {"slots": '{"city": "York", "day": "5 May"}'},
        {"slots": {"city": "York", "day": "5 May"}, **tokens},
        tokens,
    ]
    for form in forms:
        assert TASK.parse({"text": WANTED["text"], "intent": "book", **form}) == WANTED
    assert TASK.parse(WANTED) == WANTED
    assert TASK.parse({"text": "fly"}, training=False) == {"text": "fly"}


@pytest.mark.parametrize(
    ("text", "slots", "found"),
    [
        ("北京饭店在北京吗", {"hotel": "北京饭店", "city": "北京"}, [span(0, 4, "hotel"), span(5, 7, "city")]),
        ("5 people at 15:30", {"people": 5}, [span(0, 1, "people")]),
        ("from Rome to Rome", {"city": ["Rome", "Rome"]}, [span(5, 9, "city"), span(13, 17, "city")]),
    ],
)
def test_a_value_is_found_where_it_stands_whole_and_longer_ones_first(text, slots, found):
    assert TASK.parse({"text": text, "intent": "a", "slots": slots})["slots"] == found


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"intent": "a", "slots": {"city": "Rome"}}, "slot-not-found"),
        ({"intent": "a", "slots": {"city": "Yor"}}, "slot-not-found"),
        ({"intent": "a", "slots": {"n": "5"}}, "slot-ambiguous"),
        ({"intent": "a", "slots": {"n": "5", "m": "5"}}, "slot-ambiguous"),
        ({"intent": "a", "slots": {"n": {"x": 1}}}, "bad-slot"),
        ({"intent": "a", "slots": "{5"}, "not-a-list"),
        ({"intent": "a", "slots": {"city": "York"}, "spans": []}, "forms-differ"),
        ({"intent": "a"}, "slots-missing"),
        ({"slots": []}, "label-missing"),
        ({"intent": ["a", "b"], "slots": []}, "one-label-wanted"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(row, code):
    with pytest.raises(RowError) as caught:
        TASK.parse({"text": "to York at 5 or 5", **row})
    assert caught.value.code == f"tasks.{code}"
    assert str(caught.value)


def test_intents_and_slots_are_those_of_the_training_rows():
    rows = [WANTED, {"text": "no", "intent": "ask", "slots": []}]
    task = TASK.initialize(rows, BASE)
    assert (task.intents, task.slots, task.pooling, task.max_length) == (("ask", "book"), ("city", "day"), "mean", 32)
    assert list(task.head().config["id2label"].values()) == [
        "intent ask", "intent book", "O", "B-city", "I-city", "B-day", "I-day"
    ]  # fmt: skip
    for broken, given in (
        (TASK, rows[:1]),
        (TASK, [rows[1], {**rows[1], "intent": "b"}]),
        (IntentSlots(slots=("city",)), rows),
    ):
        with pytest.raises(DataError):
            broken.initialize(given, BASE)


@pytest.fixture
def task():
    return TASK.initialize([WANTED, {"text": "no", "intent": "ask", "slots": []}], BASE)


def test_the_loss_is_that_of_intent_and_tags_worked_out_by_hand(task):
    """A model that says the same everywhere: the intent at log(1 + e), each of six units among five tags at log 5."""
    processor = tokenizer(WANTED["text"])
    batch = task.collate([task.encode(WANTED, processor)], processor)
    logits = torch.zeros(1, 8, 7)
    logits[:, :, 0] = 1.0
    found = task.loss(lambda **_: type("Said", (), {"logits": logits}), batch)
    assert float(found.value) == pytest.approx(math.log(1 + math.e) + 6 * math.log(5))
    assert found.count == 1
    assert batch["labels"].tolist() == [[1, -100, 0, 0, 1, 0, 3, 4, -100]]


def test_what_is_taught_is_what_is_answered_and_its_score_that_of_all_of_it(task):
    features = task.encode(WANTED, tokenizer(WANTED["text"]))
    output = torch.zeros(10, 7)  # two rows of padding that say otherwise
    output[:8, 1], output[8:, 0] = 2.0, 99.0
    for place, tag in enumerate(features["labels"].tolist()):
        if tag >= 0:
            output[place, 2 + tag] = 9.0
    (answer,) = task.decode([output], [features], None)
    assert (answer["intent"], [{k: one[k] for k in ("start", "end", "label")} for one in answer["slots"]]) == (
        "book", WANTED["slots"]
    )  # fmt: skip
    intent, unit = math.exp(2) / (1 + math.exp(2)), math.exp(9) / (4 + math.exp(9))
    assert answer["scores"] == pytest.approx({"ask": 1 - intent, "book": intent})
    assert answer["score"] == pytest.approx(intent * unit**6)
    first = IntentSlots(intents=task.intents, slots=task.slots, pooling="cls")
    output[0, 0] = 5.0
    assert first.decode([output], [features], None)[0]["intent"] == "ask"


def test_all_of_an_answer_must_be_right():
    rows = [WANTED, WANTED, WANTED, WANTED]
    slots = WANTED["slots"]
    answers = [
        {"intent": "book", "slots": slots}, {"intent": "ask", "slots": slots}, {"intent": "book", "slots": slots[:1]},
        {"intent": "ask", "slots": []},
    ]  # fmt: skip
    scores = TASK.score(answers, rows)
    assert scores == {
        "exact": 0.25, "intent_accuracy": 0.5, "slot_precision": 1.0, "slot_recall": 5 / 8, "slot_f1": pytest.approx(10 / 13)
    }  # fmt: skip
    assert [TASK.credit(answer, row) for answer, row in zip(answers, rows, strict=True)] == [1, 0, 0, 0]
    details = TASK.details(answers, rows)
    assert details["partial"]["missed"] == 3
    assert {entry["label"] for entry in details["per_class"]} == {"book", "ask", "[city]", "[day]"}


def test_the_temperature_of_the_intent_is_fitted_and_unknown_intents_left_out(task):
    rows = [*[WANTED, {**WANTED, "intent": "ask"}, WANTED] * 300, {**WANTED, "intent": "never seen"}]
    outputs = [torch.zeros(8, 7) for _ in rows]
    for output in outputs:
        output[:, 1] = 4.0  # sure of what is right two times in three: log 2 is what it should say
    assert task.calibrate(outputs, rows).temperature == pytest.approx(4 / math.log(2), rel=0.1)
    assert task.calibrate(outputs[:1], rows[-1:]) == task


def test_padding_and_windows_change_no_answer(task):
    """A long text is answered from all of its tokens, beside a short one as alone."""
    processor = tokenizer(WANTED["text"])
    model = token_classifier(len(processor), num_labels=7).eval()
    small = IntentSlots(intents=task.intents, slots=task.slots, pooling="mean", max_length=6)
    features = [small.encode({**WANTED, "text": text}, processor) for text in ("fly", "fly to York", WANTED["text"])]
    assert ["windows" in row for row in features] == [False, False, True]
    together = inference.outputs(small, model, features, processor)
    for row, feature in zip(together, features, strict=True):
        (alone,) = inference.outputs(small, model, [feature], processor)
        assert numpy.allclose(row, alone, atol=1e-6)
        assert len(row) == len(feature["input_ids"])


def test_requests_are_learnt_with_a_head_fitted_first(tmp_path):
    texts = {
        "fly to York": {"city": "York"}, "fly to Rome on Monday": {"city": "Rome", "day": "Monday"},
        "is it cold": {}, "is it cold in Rome": {"city": "Rome"},
    }  # fmt: skip
    rows = [TASK.parse({"text": text, "intent": text.split()[0], "slots": slots}) for text, slots in texts.items()]
    task = IntentSlots(max_length=6).initialize(rows, BASE)
    processor = tokenizer(" ".join(texts))
    model = token_classifier(len(processor), num_labels=len(task.head().config["id2label"]))
    spec = TrainSpec(epochs=80, batch_size=4, learning_rate=3e-3, max_unknown=1.0, fit_head="before", precision="fp32")
    loop = Loop(
        model, task, processor, spec,
        train=rows, validation=rows, head=["classifier"], learning_rate=1e-3, folder=tmp_path, seed=0,
    )  # fmt: skip
    events = list(loop.events(resume=False))
    assert loop.update.packs
    assert [event.values["exact"] for event in events if event.kind == "validation"][-1] == 1.0
    assert task.score(task.baseline(rows).predict(rows), rows)["exact"] >= 0.5
