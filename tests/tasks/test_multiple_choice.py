import math

import pytest
import torch

from jishi.core.contracts import Base
from jishi.core.errors import RowError, TrainingError
from jishi.data.infer import infer_task
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor
from jishi.tasks.multiple_choice import MultipleChoice, letter, place
from jishi.training.fit_head import fit_head
from tiny import sequence_classifier, tokenizer

BASE = Base("tiny", "text", max_length=32)
ROW = {"question": "which", "choices": ["red", "green", "blue"], "answer": 1}


@pytest.mark.parametrize(
    ("answer", "choices", "expected"),
    [
        (2, "xyz", 2),
        ("y", "xyz", 1),
        ("C", "xyz", 2),
        ("c", "xyz", 2),
        ("0", "xyz", 0),
        (" B ", "xyz", 1),
        ("A", "BA", 1),  # a text that is a choice is no letter
        ("1", ["3", "2", "1"], 2),  # nor a place
        (1, ["3", "2", "1"], 1),  # a number is a place
    ],
)
def test_an_answer_is_a_text_a_letter_or_a_place(answer, choices, expected):
    assert place(answer, list(choices)) == expected


@pytest.mark.parametrize("answer", [None, "", "D", 3, -1, "w", True, 1.5, "x and y"])
def test_an_answer_that_is_no_choice_is_refused(answer):
    with pytest.raises(RowError, match="A–C, 0–2"):
        MultipleChoice().parse({**ROW, "choices": list("xyz"), "answer": answer})
    assert "answer" not in MultipleChoice().parse({**ROW, "answer": None}, training=False)


def test_an_answer_that_two_choices_read_as_is_refused():
    with pytest.raises(RowError):
        place("x", ["x", "x", "y"])
    assert place(1, ["x", "x", "y"]) == 1


def test_a_canonical_row_stays_what_it_is():
    row = MultipleChoice().parse({**ROW, "answer": "GREEN"} | {"choices": ["0", "2", "1"], "answer": "1"})
    assert row["answer"] == 2
    assert MultipleChoice().parse(row) == row


def test_the_task_is_known_by_its_columns():
    assert infer_task([ROW]) == "multiple-choice"
    assert infer_task([{"question": "a", "options": ["b", "c"], "answer": "A"}]) == "multiple-choice"
    assert infer_task([{"question": "a", "answer": "b", "label": "x"}]) == "text-classification"


def ready(**options):
    processor = tokenizer("which red green blue")
    task = MultipleChoice(**options).initialize([ROW], BASE)
    return task, processor, sequence_classifier(len(processor), num_labels=1).eval()


def test_order_and_company_of_choices_do_not_change_a_score():
    task, processor, model = ready()
    predictor = Predictor(model, task, processor, {})
    one, other, fewer = predictor.outputs(
        [ROW, {**ROW, "choices": ["blue", "red", "green"]}, {**ROW, "choices": ["green", "blue"]}]
    )
    assert torch.allclose(one[[2, 0, 1]], other, atol=1e-6)
    assert torch.allclose(one[[1, 2]], fewer, atol=1e-6)


def test_loss_is_cross_entropy_over_the_choices_of_each_question():
    task, processor, _ = ready()
    rows = [ROW, {"question": "which", "choices": ["red", "blue"], "answer": 0}]
    batch = task.collate([task.encode(row, processor) for row in rows], processor)
    logits = torch.tensor([[0.0], [2.0], [1.0], [0.5], [1.5]], requires_grad=True)
    loss = task.loss(lambda **_: type("Output", (), {"logits": logits}), batch).value
    first = math.log(1 + math.exp(2) + math.exp(1)) - 2
    second = math.log(math.exp(0.5) + math.exp(1.5)) - 0.5
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)
    loss.backward()
    assert torch.isfinite(logits.grad).all()


def test_answers_say_letter_place_and_probabilities():
    task, *_ = ready(temperature=2.0)
    (found,) = task.decode([torch.tensor([0.0, 2.0])], [{}], None)
    assert (found["label"], found["answer"]) == ("B", 1)
    assert found["scores"] == pytest.approx({"A": 1 / (1 + math.e), "B": math.e / (1 + math.e)})
    assert (letter(25), letter(26)) == ("Z", "27")


def test_scores_count_right_answers_and_show_where_they_stand():
    task, *_ = ready()
    rows = [ROW, {**ROW, "answer": 0}]
    predictions = [{"answer": 1, "label": "B"}, {"answer": 1, "label": "B"}]
    assert task.score(predictions, rows) == {"accuracy": 0.5}
    assert task.details(predictions, rows)["confusion"] == {
        "labels": ["A", "B", "C"],
        "matrix": [[0, 1, 0], [0, 1, 0], [0, 0, 0]],
    }


def test_the_rival_finds_what_overlaps():
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    rows = [{"question": f"say {a} twice", "choices": [b, a] if i % 2 else [a, b], "answer": i % 2}
            for i, (a, b) in enumerate(zip(words, words[1:] + words[:1], strict=True))] * 2  # fmt: skip
    rival = MultipleChoice().baseline(rows)
    assert rival.name == "tf-idf, overlap + logistic regression"
    assert MultipleChoice().score(rival.predict(rows), rows) == {"accuracy": 1.0}


def test_a_head_that_answers_for_every_choice_is_not_fitted_once_a_row():
    task, processor, model = ready()
    with pytest.raises(TrainingError, match="1 row"):
        fit_head(model, task, processor, [task.encode(ROW, processor)], ["classifier"])


def test_a_design_that_starts_from_nothing_reads_the_choices():
    spec = ModelSpec("text-cnn", size="nano")
    processor = load.processor(spec, [ROW] * 2)
    assert {"green", "which"} <= set(processor.get_vocab())
