import math

import pytest
import torch

from jishi.core.contracts import Base
from jishi.core.errors import DataError
from jishi.metrics.ordinal import ordinal
from jishi.tasks.text_classification import TextClassification
from tiny import sequence_classifier, tokenizer

BASE = Base("tiny", "text", max_length=32)
TASK = TextClassification(problem="ordinal", labels=("bad", "fair", "good"))


def test_grades_are_in_the_order_given_or_that_of_their_numbers():
    rows = [TextClassification(problem="ordinal").parse({"text": "a", "label": grade}) for grade in (10, 9.5, 2)]
    task = TextClassification(problem="ordinal").initialize(rows, BASE)
    assert (task.labels, task.metric) == (("2", "9.5", "10"), "quadratic_kappa")
    assert task.head().config["num_labels"] == 2
    words = [{"text": "a", "label": "good"}, {"text": "b", "label": "bad"}]
    with pytest.raises(DataError, match="bad, good.*task.labels"):
        TextClassification(problem="ordinal").initialize(words, BASE)
    assert TASK.initialize(words, BASE).labels == TASK.labels


def answered(logits, grades):
    processor = tokenizer("a")
    batch = TASK.collate([TASK.encode({"text": "a", "label": grade}, processor) for grade in grades], processor)
    return TASK.loss(lambda **_: type("Output", (), {"logits": torch.tensor(logits)}), batch)


def test_a_step_learns_only_from_rows_that_reached_it():
    no, yes = (lambda x: math.log(1 + math.exp(x))), (lambda x: math.log(1 + math.exp(-x)))
    loss = answered([[2.0, 5.0], [1.0, 0.5], [3.0, -1.0]], ["bad", "fair", "good"])
    # bad: one step, not taken; fair: the first taken, the second not; good: both taken
    by_hand = [no(2.0), yes(1.0), no(0.5), yes(3.0), yes(-1.0)]
    assert loss.value.item() == pytest.approx(sum(by_hand) / 5, abs=1e-6)
    assert loss.count == 5
    assert answered([[2.0, 5.0]], ["never seen"]).value.item() == 0


def test_the_chain_of_steps_gives_grade_and_probabilities():
    two, half = math.log(2), 0.0  # sigmoid 2/3 and 1/2
    answer, sure = TASK.decode(torch.tensor([[two, half], [9.0, 9.0]]), [{}] * 2, None)
    assert answer["scores"] == pytest.approx({"bad": 1 / 3, "fair": 1 / 3, "good": 1 / 3})
    assert (answer["label"], answer["score"]) == ("fair", pytest.approx(1 / 3))  # reached at 2/3, not passed at 1/3
    assert sure["label"] == "good"


def test_calibration_changes_no_grade():
    outputs = list(torch.randn(60, 2, generator=torch.Generator().manual_seed(0)) * 4)
    rows = [{"label": TASK.labels[index % 3]} for index in range(60)]
    fitted = TASK.calibrate(outputs, rows)
    assert fitted.temperature > 1.5  # the outputs are sure of themselves and know nothing
    before, after = (task.decode(outputs, [{}] * 60, None) for task in (TASK, fitted))
    assert [answer["label"] for answer in before] == [answer["label"] for answer in after]
    assert before[0]["score"] != after[0]["score"]


def test_kappa_and_error_agree_with_an_independent_implementation():
    from sklearn.metrics import cohen_kappa_score

    truth, given = [0, 1, 2, 2, 3, 1, 0, 3], [0, 2, 2, 1, 3, 1, 1, 0]
    found = ordinal(truth, given)
    assert found["quadratic_kappa"] == pytest.approx(cohen_kappa_score(truth, given, weights="quadratic"))
    assert found["mae"] == pytest.approx(6 / 8)
    assert ordinal([1, 1], [1, 1])["quadratic_kappa"] == 0


def test_a_near_miss_is_wrong_by_one_and_an_unknown_grade_by_as_much_as_can_be():
    rows = [{"label": grade} for grade in ("bad", "good", "superb")]
    predictions = [{"label": "fair"}, {"label": "good"}, {"label": "good"}]
    assert [TASK.credit(p, r) for p, r in zip(predictions, rows, strict=True)] == [0.0, 1.0, 0.0]
    assert TASK.score(predictions, rows)["mae"] == pytest.approx((1 + 0 + 2) / 3)


def test_grades_can_be_learnt_by_heart():
    texts = ["a b", "c d", "a c e", "d f", "e a", "f c b"]
    rows = [{"text": text, "label": TASK.labels[index % 3]} for index, text in enumerate(texts)]
    processor = tokenizer("a b c d e f")
    config = {key: value for key, value in TASK.head().config.items() if key not in ("label2id", "problem_type")}
    model = sequence_classifier(len(processor), **config).eval()
    batch = TASK.collate([TASK.encode(row, processor) for row in rows], processor)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = TASK.loss(model, batch).value
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    predictions = TASK.decode(TASK.forward(model, batch), [{}] * 6, None)
    assert TASK.score(predictions, rows) == pytest.approx(
        {"quadratic_kappa": 1, "mae": 0, "accuracy": 1, "macro_f1": 1}
    )
    assert TASK.baseline(rows).name == "tf-idf + logistic regression"
