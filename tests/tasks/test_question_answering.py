import gzip
import json
import math
from dataclasses import replace

import numpy
import pytest
import torch

from conftest import DATA
from jishi.core.contracts import Base
from jishi.core.errors import DataError, RowError
from jishi.models import passages
from jishi.models.inference import outputs
from jishi.tasks import _answers, _extracts, _sentences
from jishi.tasks.question_answering import AT_ONCE, QuestionAnswering
from tiny import question_answerer, tokenizer

BASE = Base("tiny", "text", max_length=64)
TASK = QuestionAnswering()
TEXT = "Ann met Bob in Paris. Bob ran."


def answer(text, start):
    return {"text": text, "start": start}


def parse(text=TEXT, **given):
    return TASK.parse({"question": "Who?", "context": text, **given})


@pytest.mark.parametrize(
    "given",
    [
        {"answers": [{"text": "Paris", "answer_start": 15}]},
        {"answers": [{"text": "Paris", "start": 15}], "is_impossible": False},
        {"answers": {"text": ["Paris"], "answer_start": [15]}},
        {"answers": {"text": "Paris", "answer_start": 15}},
        {"answers": json.dumps({"text": ["Paris"], "answer_start": [15]})},
        {"answers": [answer("Paris", 15), answer("Paris", 15)]},
        {"answer": {"text": " Paris", "start": 14}},
    ],
)
def test_answers_are_read_in_every_form(given):
    assert parse(**given) == {"question": "Who?", "context": TEXT, "answers": [answer("Paris", 15)]}


def test_a_question_without_an_answer_says_so():
    for given in ({"answers": []}, {"is_impossible": True}, {"answers": {"text": [], "answer_start": []}}):
        assert parse(**given)["answers"] == []
    assert parse(answers=[], is_impossible="true", plausible_answers=[answer("Ann", 0)])["answers"] == []
    assert "answers" not in TASK.parse({"question": "Who?", "context": TEXT}, training=False)


def test_an_answer_that_is_not_at_its_offset_is_moved_where_it_occurs_once_and_counted():
    for start in (3, -4, 999):
        row = parse(answers=[answer("Paris", start)])
        assert (row["answers"], row["mended"]) == ([answer("Paris", 15)], "answer-moved")
    row = parse(answers=["Bob"])
    assert (row["answers"], row["mended"]) == ([answer("Bob", 8)], "answer-first")


def test_offsets_are_characters_of_the_text_astral_ones_too():
    text = "😀😀 met 𠮷野家 today"
    assert parse(text, answers=[answer("𠮷野家", 7)]) == {
        "question": "Who?", "context": text, "answers": [answer("𠮷野家", 7)]
    }  # fmt: skip
    utf16 = parse(text, answers=[answer("𠮷野家", 9)])  # as a browser counts
    assert (utf16["answers"], utf16["mended"]) == ([answer("𠮷野家", 7)], "answer-moved")
    features = TASK.encode(utf16, tokenizer("met today"))
    assert features["labels"].tolist() == [3, 5]  # 😀 😀 met 𠮷 野 家: units 3 to 5


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "tasks.answers-missing"),
        ({"answers": [answer("Berlin", 0)]}, "tasks.answer-absent"),
        ({"answers": [answer("Bob", 0)]}, "tasks.answer-elsewhere"),
        ({"answers": [answer("", 0)]}, "tasks.bad-answer"),
        ({"answers": [answer("Ann", 0.5)]}, "tasks.bad-answer"),
        ({"answers": [7]}, "tasks.bad-answer"),
        ({"answers": {"text": ["Ann"], "answer_start": []}}, "tasks.bad-answer"),
        ({"answers": [answer("Ann", 0)], "is_impossible": True}, "tasks.answers-impossible"),
        ({"answers": [], "is_impossible": False}, "tasks.answers-impossible"),
        ({"answers": [answer("cafe", 2)], "text": "a cafe\u0301 b"}, "tasks.answer-cuts"),
        ({"answers": [answer("\U0001f469", 0)], "text": "\U0001f469\u200d\U0001f467 x"}, "tasks.answer-cuts"),
        ({"answers": [answer("Ann", 0)], "text": "  "}, "modalities.no-text"),
        ({"answers": [answer("Ann", 0)], "text": ""}, "tasks.question-incomplete"),
        ({"answers": [], "question": None}, "tasks.question-incomplete"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(given, code):
    with pytest.raises(RowError) as caught:
        parse(given.pop("text", TEXT), **given)
    assert caught.value.code == code
    assert str(caught.value)


def test_what_the_rows_tell_is_filled_in():
    rows = [parse(answers=[answer("Ann met Bob", 0)]), parse(answers=[])]
    task = TASK.initialize(rows, BASE)
    assert (task.max_length, task.max_answer_length, task.unanswerable) == (64, 3, True)
    assert not TASK.initialize(rows[:1], BASE).unanswerable
    with pytest.raises(DataError):
        TASK.initialize(rows[1:], BASE)


def table(units, **logs):
    """What a model says: (1 + U, 2) log-probabilities, -9 but where given as s3=…, e4=…; s and e are those of no answer."""
    found = numpy.full((1 + units, 2), -9.0)
    for name, value in logs.items():
        found[1 + int(name[1:] or -1), "se".index(name[0])] = value
    return found


def test_the_likeliest_answers_are_those_of_all_pairs_in_order():
    output = table(4, s=-1, e=-2, s0=-0.5, s2=-1, e1=-0.5, e2=-0.25, e3=-3)
    # (0,1): -1.0; (0,2): -0.75; (2,2): -1.25; (0,3) is too long; (2,3): -4
    found = _extracts.read(output, longest=3, count=3)
    assert found.spans == [(0, 2), (0, 1), (2, 2)]
    assert found.logs.tolist() == [-0.75, -1.0, -1.25]
    assert (found.nothing, found.lead) == (-3.0, -2.25)
    others = [s + e for i, s in enumerate(output[1:, 0]) for e in output[1:, 1][i : i + 3]]
    rest = sum(map(math.exp, others)) - sum(map(math.exp, found.logs))
    assert found.rest == pytest.approx(math.log(rest))


def test_blocks_of_starts_change_no_answer(monkeypatch):
    output = -numpy.random.default_rng(1).random((41, 2)) * 9
    whole = _extracts.read(output, longest=7, count=6)
    monkeypatch.setattr(_extracts, "BLOCK", 5)
    cut = _extracts.read(output, longest=7, count=6)
    assert cut.spans == whole.spans and cut.logs.tolist() == whole.logs.tolist()
    assert cut.rest == pytest.approx(whole.rest)


def test_an_answer_is_given_with_its_place_and_its_probability():
    task = replace(TASK, max_answer_length=2, candidates=2)
    output, features = table(8, s=-0.1, e=-0.1, s4=-1, e4=-1), {"text": TEXT}
    (found,) = task.decode([output], [features], None)
    assert (found["answer"], found["start"], found["end"]) == ("Paris", 15, 20)
    assert found["candidates"][0] == {key: found[key] for key in ("answer", "start", "end", "score")}
    (silent,) = replace(task, unanswerable=True).decode([output], [features], None)
    assert (silent["answer"], silent["start"]) == ("", None)
    assert silent["candidates"][0]["answer"] == "Paris"
    total = silent["score"] + sum(one["score"] for one in silent["candidates"])
    assert 0.9 < total < 1 and silent["score"] / silent["candidates"][0]["score"] == pytest.approx(math.exp(1.8))
    (spoken,) = replace(task, unanswerable=True, threshold=1.9).decode([output], [features], None)
    assert spoken["answer"] == "Paris"


@pytest.mark.parametrize(
    ("leads", "answered", "silent", "found"),
    [
        ([-3, 1, 2], [1, 1, 0], [0, 0, 1], 1.5),  # answer the first two
        ([-3, -1, 2], [1, 0, 0], [0, 1, 1], -2.0),
        ([1, 3], [1, 1], [0, 0], 4.0),  # always answer
        ([1, 3], [0, 0], [1, 1], 0.0),  # never: below the least
        ([-1, 2, 2], [1, 1, 0], [0, 0, 1], 0.5),  # equal leads can't be told apart; 0.5 and 3 are equally good
    ],
)
def test_the_threshold_is_the_one_of_most_credit(leads, answered, silent, found):
    assert _extracts.threshold(leads, answered, silent) == found


def test_calibration_fits_the_threshold_on_rows_with_both_kinds_of_questions():
    rows = [parse(answers=[answer("Paris", 15)])] * 3 + [parse(answers=[])] * 2
    says = table(8, s=-1, e=-1, s4=-1.5, e4=-1.5)  # none leads by 1
    more = table(8, s=-1, e=-1, s4=-3, e4=-3)  # by 4
    task = replace(TASK, unanswerable=True, max_answer_length=3)
    fitted = task.calibrate([says] * 3 + [more] * 2, rows)
    assert fitted.threshold == 2.5
    answers = fitted.decode([says, more], [{"text": TEXT}] * 2, None)
    assert [one["answer"] for one in answers] == ["Paris", ""]
    assert fitted.score(answers, [rows[0], rows[4]]) == {
        "exact_match": 1, "f1": 1, "answerable_exact_match": 1, "answerable_f1": 1, "unanswerable_accuracy": 1
    }  # fmt: skip


def test_scores_are_of_each_language_and_of_each_kind_of_question():
    rows = [parse(answers=[answer("Ann", 0)]), parse("安娜在巴黎见到鲍勃。", answers=["在巴黎"]), parse(answers=[])]
    given = [{"answer": "the Ann."}, {"answer": "巴黎"}, {"answer": "Bob"}]
    assert TASK.score(given, rows) == {
        "exact_match": pytest.approx(1 / 3),
        "f1": pytest.approx((1 + 2 * 2 / 5 + 0) / 3),
        "answerable_exact_match": 0.5,
        "answerable_f1": pytest.approx(0.9),
        "unanswerable_accuracy": 0.0,
    }
    assert [TASK.credit(one, row) for one, row in zip(given, rows, strict=True)] == pytest.approx([1, 0.8, 0])


def test_the_loss_is_that_of_any_of_the_answers_worked_out_by_hand():
    task, processor = replace(TASK, max_length=32), tokenizer("who Ann met Bob")
    model = question_answerer(len(processor)).eval()
    row = {"question": "who", "context": "Ann met Bob", "answers": [answer("Ann", 0), answer("Bob", 8)]}
    batch = task.collate([task.encode(row, processor)], processor)
    said = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    # [CLS] who [SEP] Ann met Bob [SEP]: an answer may start and end at 0 (none), 3, 4 and 5
    places = [0, 3, 4, 5]
    starts, ends = (logits[0, places].softmax(0) for logits in (said.start_logits, said.end_logits))
    wanted = -torch.log(starts[1] * ends[1] + starts[3] * ends[3])
    found = task.loss(model, batch)
    assert found.value.item() == pytest.approx(wanted.item(), abs=1e-5) and found.count == 1
    nothing = task.loss(model, task.collate([task.encode({**row, "answers": []}, processor)], processor))
    assert nothing.value.item() == pytest.approx(-torch.log(starts[0] * ends[0]).item(), abs=1e-5)


def test_many_windows_are_answered_some_at_a_time_and_learnt_from_some_at_once(monkeypatch):
    processor = tokenizer("who a b c d")
    task = replace(TASK, max_length=16, stride=8)
    text = " ".join(numpy.random.default_rng(2).choice(list("abcd"), 100))
    row = {"question": "who", "context": text, "answers": [answer(text[120:123], 120)]}
    features = task.encode(row, processor)
    assert len(features["windows"]) > 8 and features["length"] == 8 * 16
    drawn = [
        task.vary(features, processor, numpy.random.default_rng(seed), training=True)["windows"] for seed in (0, 1)
    ]
    assert drawn[0] != drawn[1] and all(len(spans) == 8 for spans in drawn)
    holding = [span for span in features["windows"] if span[0] <= 60 and span[1] > 61]
    assert holding and all(set(holding) <= set(spans) for spans in drawn)
    assert task.vary(features, processor, numpy.random.default_rng(0), training=False) is features
    model = question_answerer(len(processor)).eval()
    batch = task.collate([features], processor)
    with torch.inference_mode():
        (whole,) = task.forward(model, batch)
        monkeypatch.setattr("jishi.tasks.question_answering.AT_ONCE", 40)
        (parts,) = task.forward(model, batch)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    assert whole.shape == (101, 2)


def test_a_text_of_200_kb_is_read_whole_a_few_windows_at_a_time():
    processor = tokenizer("who a b key")
    model = question_answerer(len(processor)).eval()
    seen = []
    model.register_forward_pre_hook(lambda _, __, given: seen.append(given["input_ids"].numel()), with_kwargs=True)
    task = replace(TASK, max_length=64, max_answer_length=3)
    text = "a b " * 49_999 + "key"
    features = task.encode({"question": "who", "context": text}, processor)
    (output,) = outputs(task, model, [features], processor)
    assert len(text) > 199_000 and len(output) == 1 + 99_999
    assert max(seen) <= AT_ONCE and sum(seen) >= 99_999
    assert (output > passages.NEVER).all()  # every word has been read
    output = output.clone()
    output[-1] = 0
    assert task.decode([output], [features], processor)[0]["start"] == len(text) - 3
    with pytest.raises(RowError, match="1000000|1,000,000"):
        parse("a" * 1_000_001, answers=[])


def test_a_text_of_unknown_words_only_is_answered_with_a_part_of_it():
    processor = tokenizer("who")
    task = replace(TASK, max_length=32, max_answer_length=3)
    features = task.encode({"question": "who", "context": "不 認識 😀 xyz"}, processor)
    assert features["unknown"] == pytest.approx(5 / 9)  # 不 認 識 😀 xyz, of nine tokens
    (output,) = outputs(task, question_answerer(len(processor)), [features], processor)
    (found,) = task.decode([output], [features], processor)
    assert found["answer"] and found["answer"] == "不 認識 😀 xyz"[found["start"] : found["end"]]


def test_an_answer_beyond_the_first_window_can_be_learnt():
    words = list("abcdefgh")
    processor = tokenizer(" ".join(["who", "key", *words]))
    rng = numpy.random.default_rng(3)
    rows = []
    for place in range(4, 44, 5):
        text = [*rng.choice(words, place), "key", *rng.choice(words, 45 - place)]
        rows.append({"question": "who", "context": " ".join(text), "answers": [answer("key", 2 * place)]})
    task = replace(TASK.initialize(rows, BASE), max_length=16, stride=6)
    model = question_answerer(len(processor)).eval()
    features = [task.encode(row, processor) for row in rows]
    batch = task.collate(features, processor)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = task.loss(model, batch).value
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.inference_mode():
        answers = task.decode(task.forward(model, batch), features, None)
    assert task.score(answers, rows)["exact_match"] == 1
    assert [one["start"] for one in answers] == [row["answers"][0]["start"] for row in rows]


def test_the_plain_rival_gives_the_sentence_most_like_the_question_or_nothing():
    text = "Ann lives in Paris. Bob grows red roses! Carl sleeps."
    rows = [
        {"question": "Who grows roses?", "context": text, "answers": [answer("Bob grows red roses", 20)]},
        {"question": "Where lives Ann?", "context": text, "answers": [answer("Ann lives in Paris", 0)]},
    ]
    found = _sentences.fit(rows, TASK.credit).predict(rows)
    assert [one["answer"] for one in found] == ["Bob grows red roses", "Ann lives in Paris."]
    assert text[found[0]["start"] : found[0]["end"]] == found[0]["answer"]
    empty = [{**row, "answers": []} for row in rows]
    assert _sentences.fit(empty, TASK.credit).predict(rows)[0]["answer"] == ""


@pytest.mark.data
@pytest.mark.parametrize("name", ["cmrc2018_zh", "policyqa"])
def test_real_answers_survive_encoding_and_decoding(name):
    with gzip.open(DATA / name / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [TASK.parse(json.loads(line)) for line, _ in zip(lines, range(300), strict=False)]
    task = TASK.initialize(rows, BASE)
    task, processor = replace(task, max_answer_length=1000), tokenizer("the of 的", max_length=64)
    features = [task.encode(row, processor) for row in rows]
    certain = []
    for row in features:
        first, last = row["labels"][:2]
        certain.append(table(row["units"], **{f"s{first}": 0, f"e{last}": 0}))
    answers = task.decode(certain, features, processor)
    assert task.score(answers, rows)["exact_match"] > 0.98  # the others end within a word


def test_units_that_hold_an_answer():
    units = [(0, 3), (4, 7), (8, 11)]
    assert _answers.located([answer("met Bob", 4), answer("nn", 1)], units) == [(0, 0), (1, 2)]
