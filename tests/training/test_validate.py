"""A model whose answers are known: y = a + b, exactly."""

import math

import pytest
import torch

from jishi.core.contracts import Objective
from jishi.training.features import Encoded
from jishi.training.validate import validate
from points import Points


class Sum(torch.nn.Module):
    device = torch.device("cpu")

    def forward(self, x):
        assert not self.training and torch.is_inference_mode_enabled()
        return x.sum(1, keepdim=True)


def scores(given, objective=None, model=None):
    objective = objective or Points()
    return validate(objective, model or Sum(), None, Encoded(objective, given, None), given, seed=0)


def row(a, b, y, length=1):
    return {"x": [float(a), float(b)], "y": float(y), "length": length}


def test_loss_and_score_are_those_worked_out_by_hand():
    # errors 0, 1, 2, 3: squares 0 + 1 + 4 + 9 = 14 over 4 rows; two of four are within 1
    given = [row(1, 1, 2), row(1, 1, 3), row(1, 2, 1), row(0, 0, 3)]
    assert scores(given) == {"loss": pytest.approx(3.5), "near": 0.5}


def test_what_a_character_costs_is_told_where_features_say_how_many_there_are():
    """Four rows, here twenty times, lose 14 nats together and stand for 5 + 0 + 1 + 1 characters: 2 nats a character."""
    given = [row(1, 1, 2), row(1, 1, 3), row(1, 2, 1), row(0, 0, 3)] * 20  # more than a batch
    told = [{**one, "characters": count} for one, count in zip(given, (5, 0, 1, 1) * 20, strict=True)]
    assert scores(told)["bits_per_character"] == pytest.approx(2 / math.log(2))
    assert "bits_per_character" not in scores(given)


def test_rows_weigh_the_same_whatever_batch_they_are_in():
    """65 rows make a batch of 64 and one of 1; a mean over batches would be off by a factor of 16."""
    given = [row(0, 0, 0, length=1) for _ in range(64)] + [row(0, 0, 8, length=50)]
    assert scores(given)["loss"] == pytest.approx(64 / 65)


def test_answers_meet_their_own_rows_though_batches_are_sorted():
    given = [row(index, 0, index, length=1 + index * 37 % 101) for index in range(150)]
    assert scores(given) == {"loss": 0.0, "near": 1.0}


def test_an_objective_that_is_no_task_has_a_loss_only():
    methods = {name: getattr(Points, name) for name in ("parse", "head", "encode", "collate", "forward", "loss")}
    plain = type("Plain", (Objective,), {**methods, "columns": {"x": "text"}})()
    assert scores([row(1, 1, 4)], objective=plain) == {"loss": pytest.approx(4.0)}


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_it_was_in(training):
    model = Sum().train(training)
    scores([row(1, 1, 2)], model=model)
    assert model.training is training


def test_the_mode_comes_back_even_where_it_fails():
    class Failing(Points):
        def decode(self, outputs, features, processor):
            raise ValueError("no")

    model = Sum().train()
    with pytest.raises(ValueError, match="no"):
        scores([row(1, 1, 2)], objective=Failing(), model=model)
    assert model.training
