"""Instruction tuning and language modelling: what is learnt, what is cut, what is answered, how it is scored."""

import json
import math
from dataclasses import replace

import numpy
import pytest
import torch

import jishi
import writers
from jishi.core.contracts import Base
from jishi.core.errors import DataError, UsageError
from jishi.models import tokens
from jishi.models.chat import Chat
from jishi.models.decoding import Decoding
from jishi.predictor import Predictor, decision
from jishi.tasks.text_classification import TextClassification
from jishi.tasks.text_generation import TextGeneration

PROCESSOR = writers.bytewise()
BASE = Base("tiny", "text", max_length=64)
CHAT = Chat("plain", user=("Q", "\n"), assistant="A")
ROWS = [
    {"prompt": [{"role": "user", "content": "一加一"}], "answer": "二"},
    {"prompt": [{"role": "user", "content": "red + blue"}], "answer": "purple"},
]


def task(rows=ROWS, **settings) -> TextGeneration:
    return TextGeneration(**{"chat": CHAT, "decoding": Decoding(max_new_tokens=8), **settings}).initialize(rows, BASE)


def predictor(given: TextGeneration, seed: int = 0) -> Predictor:
    return Predictor(writers.decoder(words=258, seed=seed), given, PROCESSOR, {})


def test_the_loss_is_that_of_the_answers_alone() -> None:
    """By hand: one plain forward a row, the mean over answer bytes and end token."""
    given, model = task(), writers.decoder(words=258)
    features = [given.encode(row, PROCESSOR) for row in ROWS]
    total, count = 0.0, 0
    for row in ROWS:
        asked = PROCESSOR("Q" + row["prompt"][0]["content"] + "\nA")["input_ids"]
        said = [*PROCESSOR(row["answer"])["input_ids"], writers.END]
        with torch.no_grad():
            chances = model(torch.tensor([asked + said])).logits[0].log_softmax(1)
        total -= sum(chances[len(asked) - 1 + place, token].item() for place, token in enumerate(said))
        count += len(said)
    loss = given.loss(model, given.collate(features, PROCESSOR))
    assert loss.count == count
    assert float(loss.value.detach()) == pytest.approx(total / count, abs=1e-4)


def test_earlier_answers_of_a_conversation_are_learnt_too() -> None:
    turns = [*ROWS[0]["prompt"], {"role": "assistant", "content": "ab"}, *ROWS[1]["prompt"]]
    features = task().encode({"prompt": turns, "answer": "cd"}, PROCESSOR)
    learnt = features["labels"][features["labels"] != tokens.IGNORED]
    assert PROCESSOR.decode(learnt) == "ab<end>cd<end>"


def test_a_long_prompt_loses_its_beginning_a_long_answer_its_end_and_no_row_is_all_masked() -> None:
    given = task()  # 64 tokens, 8 of them for the answer
    long = given.encode({"prompt": [{"role": "user", "content": "x" * 90 + "END"}], "answer": "y" * 90}, PROCESSOR)
    asked = PROCESSOR.decode(long["prompt_ids"])
    assert asked == "x" * 51 + "END\nA" and long["truncated"] and long["length"] == 64
    assert PROCESSOR.decode(long["labels"][56:]) == "y" * 8 and set(long["labels"][:56]) == {tokens.IGNORED}
    bare = given.encode({"prompt": [{"role": "user", "content": "x" * 90 + "END"}]}, PROCESSOR)
    assert numpy.array_equal(bare["prompt_ids"], long["prompt_ids"])  # answering sees what training saw


def test_plain_text_is_learnt_whole_and_gone_on_with() -> None:
    given = task([{"text": "从前"}])
    features = given.encode({"text": "从前"}, PROCESSOR)
    assert given.form == "plain" and given.metric == "likelihood"
    assert PROCESSOR.decode(features["labels"]) == "从前<end>" and PROCESSOR.decode(features["prompt_ids"]) == "从前"
    cut = given.encode({"text": "x" * 70}, PROCESSOR)
    assert cut["length"] == 64 and cut["truncated"] and writers.END not in cut["labels"]


def test_conversations_and_plain_text_do_not_mix() -> None:
    with pytest.raises(DataError, match="1 training rows are conversations and 1 are plain text"):
        task([ROWS[0], {"text": "x"}])


def test_decoding_that_does_not_fit_is_refused_before_training() -> None:
    with pytest.raises(UsageError, match="temperature"):
        task(decoding=Decoding(temperature=0.5))


def test_stop_strings_cut_answers_and_batches_hold_no_tokenizer_without_them() -> None:
    free = predictor(task())
    whole = free.predict(["一加一"])[0]["text"]
    stop = whole[2:4]
    cut = predictor(task(decoding=Decoding(max_new_tokens=8, stop=(stop,)))).predict(["一加一"])[0]
    assert cut["text"] == whole[: whole.index(stop)].strip() and cut["complete"]
    batch = task().collate([task().encode(ROWS[0], PROCESSOR)], PROCESSOR)
    assert batch["ends"].processor is None


def test_a_token_chosen_by_a_hair_ends_the_answer_that_probes_are_held_to() -> None:
    given = task()
    letters = PROCESSOR("abcd")["input_ids"]
    output = torch.tensor([[letter, -0.5, 1.0] for letter in letters])
    sure = given.decode([output], [{}], PROCESSOR)[0]
    assert sure == {"text": "abcd", "log_probability": -0.5, "complete": False}
    output[2, 2] = -1e-5
    tossed = given.decode([output], [{}], PROCESSOR)[0]
    assert tossed["text"] == "ab" and decision(tossed) != decision(sure)


def test_probes_are_replayed_and_a_coin_toss_is_none() -> None:
    model = predictor(task())
    rows = [{"prompt": [{"role": "user", "content": f"{number}+1"}], "answer": "?"} for number in range(6)]
    probes = model.probe(rows)
    kept = replace(model, probes=probes)
    assert len(probes) > 3 and kept.replay().flips == 0
    changed = [{**probe, "prediction": {**probe["prediction"], "text": "?"}} for probe in probes]
    with pytest.raises(Exception, match="probes changed"):
        replace(model, probes=changed).replay()


def test_held_out_rows_tell_how_well_they_were_foreseen() -> None:
    model = predictor(task())
    examined = list(model.examine(ROWS))
    assert examined[1]["targets"] == len("purple") + 1
    found = model.task.score(examined, ROWS)
    nats = sum(one["nats"] for one in examined)
    assert found["perplexity"] == pytest.approx(math.exp(nats / (len("purple") + 1 + 3 + 1)))  # 二 has three bytes
    assert found["bits_per_character"] == pytest.approx(nats / math.log(2) / len("purple二"))
    bare = model.predict(ROWS)
    assert "perplexity" not in model.task.score(bare, ROWS)


def test_scores_of_answers_are_those_of_their_texts() -> None:
    given = task()
    found = given.score([{"text": "二"}, {"text": "purple"}], ROWS)
    assert found["chrf"] == found["exact"] == found["rougeL"] == 1
    half = given.score([{"text": "三"}, {"text": "purple"}], ROWS)
    assert half["exact"] == 0.5 and half["chrf"] < 1
    assert given.credit({"text": "三"}, ROWS[0]) == 0 and given.credit({"text": "二"}, ROWS[0]) == 1


def test_the_rival_gives_the_answer_of_the_nearest_prompt() -> None:
    rival = task().baseline(ROWS)
    asked = [
        {"prompt": [{"role": "user", "content": "blue + red"}]},
        {"prompt": [{"role": "user", "content": "一加二"}]},
    ]
    assert [one["text"] for one in rival.predict(asked)] == ["purple", "二"]


def test_the_rival_of_plain_text_knows_how_frequent_characters_are() -> None:
    """ "aab": a 3/6, b 2/6, anything else 1/6 (each seen once more)."""
    given = task([{"text": "aab"}])
    (found,) = given.baseline([{"text": "aab"}]).predict([{"text": "abz"}])
    assert found["nats"] == pytest.approx(-math.log(3 / 6) - math.log(2 / 6) - math.log(1 / 6))
    assert given.credit(found, {"text": "abz"}) == pytest.approx((1 / 36) ** (1 / 3))


def test_a_stream_makes_up_the_answer() -> None:
    model = predictor(task())
    assert "".join(model.generate_stream("一加一")).strip() == model.predict(["一加一"])[0]["text"]


def test_a_task_that_does_not_write_has_nothing_to_stream() -> None:
    silent = Predictor(None, TextClassification(), None, {})
    with pytest.raises(UsageError, match="text-classification"):
        next(silent.generate_stream("x"))


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_recurrent_model_is_tuned_and_its_bundle_writes_what_its_probes_say(name, tmp_path) -> None:
    said = {"一": "二", "three": "four", "五": "六", "seven": "eight"}
    rows = [{"prompt": f"{asked}?{n}", "answer": answer} for n in range(20) for asked, answer in said.items()]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = jishi.finetune(
        data=str(file), out=str(tmp_path / "run"), model={"name": name, "size": "nano", "dropout": 0.0},
        task={"name": "text-generation", "decoding": {"max_new_tokens": 8}, "chat": {"user": ["", "="], "assistant": ""}},
        train={"epochs": 16, "batch_size": 8, "learning_rate": 1e-2, "precision": "fp32", "threads": 1, "validate_every": 999},
    )  # fmt: skip
    model = jishi.load(run.bundle)
    assert model.replay().flips == 0 and run.evaluation["scores"]["exact"]["value"] > 0.8
    together = [answer["text"] for answer in model.predict(["three?3", "一?14"])]
    assert together == [model.predict([text])[0]["text"] for text in ("three?3", "一?14")]
    assert "".join(model.generate_stream("three?3")).strip() == together[0]
