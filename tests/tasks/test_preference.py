"""Preference learning, held against the papers' formulas on probabilities from plain forward passes."""

import math

import pytest
import torch

import writers
from jishi.adaptation.lora import LoRA
from jishi.core.contracts import Base
from jishi.core.errors import DataError, ModelError, UsageError
from jishi.models.chat import Chat
from jishi.models.decoding import Decoding
from jishi.predictor import Predictor
from jishi.tasks.text_generation import TextGeneration
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec

PROCESSOR = writers.bytewise()
ROWS = [
    {"prompt": [{"role": "user", "content": "一加一"}], "answer": "二", "rejected": "不知道"},
    {"prompt": [{"role": "user", "content": "hi"}], "answer": "hello", "rejected": "no"},
]


def task(method: str, rows=ROWS, beta: float = 0.1) -> TextGeneration:
    chat = Chat("plain", user=("Q", "\n"), assistant="A")
    given = TextGeneration(chat=chat, decoding=Decoding(max_new_tokens=16), preference=method, beta=beta)
    return given.initialize(rows, Base("tiny", "text", max_length=64))


def adapted(given: TextGeneration):
    """A decoder whose adapter has been moved from where it starts (no change)."""
    torch.manual_seed(0)
    model = LoRA(dropout=0.0).apply(writers.decoder(words=258), given)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return model


def chance(model, asked: str, said: str) -> float:
    """The log-probability of an answer and its end, from one plain forward."""
    prompt = PROCESSOR(f"Q{asked}\nA")["input_ids"]
    answer = [*PROCESSOR(said)["input_ids"], writers.END]
    with torch.no_grad():
        scores = model(torch.tensor([prompt + answer])).logits[0].log_softmax(1)
    return sum(scores[len(prompt) - 1 + place, token].item() for place, token in enumerate(answer))


@pytest.mark.parametrize("method", ["dpo", "ipo"])
def test_the_loss_is_the_paper_s(method: str) -> None:
    given, expected, beta = task(method), [], 0.1
    model = adapted(given)
    for row in ROWS:
        asked = row["prompt"][0]["content"]
        now = chance(model, asked, row["answer"]) - chance(model, asked, row["rejected"])
        with model.disable_adapter():
            before = chance(model, asked, row["answer"]) - chance(model, asked, row["rejected"])
        ratio = now - before
        expected.append(
            -math.log(1 / (1 + math.exp(-beta * ratio))) if method == "dpo" else (ratio - 1 / (2 * beta)) ** 2
        )
    batch = given.collate([given.encode(row, PROCESSOR) for row in ROWS], PROCESSOR)
    loss = given.loss(model, batch)
    assert loss.count == 2
    assert float(loss.value.detach()) == pytest.approx(sum(expected) / 2, rel=1e-4)


def test_before_training_nothing_is_gained() -> None:
    given = task("dpo")
    model = LoRA(dropout=0.0).apply(writers.decoder(words=258), given)
    loss = given.loss(model, given.collate([given.encode(row, PROCESSOR) for row in ROWS], PROCESSOR))
    assert float(loss.value.detach()) == pytest.approx(math.log(2)) and loss.parts["gain"] == 0


def test_training_makes_the_chosen_answers_likelier_than_the_rejected(tmp_path) -> None:
    given = task("dpo")
    model = LoRA(dropout=0.0).apply(writers.decoder(words=258), given)
    train = TrainSpec(
        max_steps=30, epochs=30, batch_size=2, learning_rate=5e-3, max_unknown=1.0, precision="fp32", threads=1
    )
    loop = Loop(
        model, given, PROCESSOR, train,
        train=ROWS, validation=None, head=[], learning_rate=5e-3, folder=tmp_path, seed=0,
    )  # fmt: skip
    told = [event.values for event in loop.events(resume=False) if event.kind == "step"]
    assert told[-1]["loss"] < told[0]["loss"] / 2 and told[-1]["preferred"] == 1


def test_a_model_without_an_adapter_is_refused_in_training_and_weighs_the_chosen_answer_after_it() -> None:
    given, model = task("dpo"), writers.decoder(words=258)
    batch = given.collate([given.encode(row, PROCESSOR) for row in ROWS], PROCESSOR)
    weighed = given.loss(model, batch)
    nats = -sum(chance(model, row["prompt"][0]["content"], row["answer"]) for row in ROWS)
    assert float(weighed.value.detach()) * weighed.count == pytest.approx(nats, rel=1e-4)
    with pytest.raises(ModelError, match="adapt=lora"):
        given.loss(model.train(), batch)


def test_rows_without_a_rejected_answer_and_a_beta_of_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="rejected"):
        task("dpo", [{"prompt": ROWS[0]["prompt"], "answer": "二"}])
    with pytest.raises(UsageError, match="beta"):
        task("dpo", beta=0.0)
    assert "rejected_ids" not in task("none").encode(ROWS[0], PROCESSOR)


def test_held_out_pairs_tell_how_often_the_chosen_answer_is_likelier_by_the_token() -> None:
    """By plain forwards; in the third pair, the first one turned round, the longer answer is the likelier by the token only."""
    turned = {**ROWS[0], "answer": ROWS[0]["rejected"], "rejected": ROWS[0]["answer"]}
    rows, model = [*ROWS, turned], writers.decoder(words=258, seed=1)
    given = task("dpo", rows)
    sums = [[chance(model, row["prompt"][0]["content"], row[name]) for name in ("answer", "rejected")] for row in rows]
    sizes = [[len(row[name].encode()) + 1 for name in ("answer", "rejected")] for row in rows]
    expected = [float(a / m > b / n) for (a, b), (m, n) in zip(sums, sizes, strict=True)]
    assert expected[2] == 1 and sums[2][0] < sums[2][1]
    found = list(Predictor(model, given, PROCESSOR, {}).examine(rows))
    assert [one["preferred"] for one in found] == expected
    assert given.score(found, rows)["preferred"] == pytest.approx(sum(expected) / 3)
