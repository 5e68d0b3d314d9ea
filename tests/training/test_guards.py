"""Each guard fires on what it is for, and lets a healthy run pass."""

import math

import pytest
import torch

from jishi.core.errors import TrainingError
from jishi.training import guards
from jishi.training.features import Encoded
from points import Net, Points, loop, rows, run


def encoded(*, unknown=0.0, truncated=(False, False)):
    return Encoded(Points(), [{"unknown": unknown, "truncated": cut} for cut in truncated], None)


def code(call, *arguments):
    with pytest.raises(TrainingError) as caught:
        call(*arguments)
    return caught.value.code


def test_no_rows_stop_training():
    assert code(guards.check_rows, Encoded(Points(), [], None), 0.05) == "training.no-rows"


def test_too_many_unknown_tokens_stop_training():
    assert code(guards.check_rows, encoded(unknown=0.06), 0.05) == "training.unknown-tokens"
    guards.check_rows(encoded(unknown=0.05), 0.05)


def test_rows_that_are_all_cut_off_stop_training():
    assert code(guards.check_rows, encoded(truncated=(True, True)), 1.0) == "training.all-truncated"
    guards.check_rows(encoded(truncated=(True, False)), 1.0)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_training_at_once(loss):
    assert code(guards.check_loss, [0.5, loss], 2) == "training.loss-not-finite"


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_stops_training_before_the_step(norm, tmp_path):
    assert code(guards.check_gradient, norm, 2) == "training.gradient-not-finite"
    model = Net()
    before = guards.fingerprint(model)
    next(model.parameters()).register_hook(lambda gradient: gradient * norm)
    assert code(run, loop(tmp_path, rows(8), model=model)) == "training.gradient-not-finite"
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_a_loss_of_zero_three_times_stops_training():
    assert code(guards.check_loss, [0.5, 0.0, 0.0, 0.0], 4) == "training.loss-zero"
    guards.check_loss([0.5, 0.0, 0.0], 3)
    guards.check_loss([0.0, 0.1, 0.0], 3)


def test_weights_that_stood_still_are_told():
    model = Net()
    assert code(guards.check_moved, guards.fingerprint(model), model, ["head"]) == "training.weights-still"


def test_a_head_that_stood_still_is_told():
    model = Net()
    before = guards.fingerprint(model)
    with torch.no_grad():
        model.body.bias += 1
    assert code(guards.check_moved, before, model, ["head"]) == "training.head-still"
    guards.check_moved(before, model, [])
    with torch.no_grad():
        model.head.bias += 1
    guards.check_moved(before, model, ["head"])


def test_what_another_process_holds_of_a_weight_counts_too():
    model = Net()
    before = guards.fingerprint(model)

    def told(broken, moved):
        return lambda found: [found, (broken, moved)]

    guards.check_moved(before, model, ["head"], told(set(), {"head.bias"}))
    assert code(guards.check_moved, before, model, ["head"], told(set(), {"body.bias"})) == "training.head-still"
    broken = told({"body.bias"}, {"head.bias"})
    assert code(guards.check_moved, before, model, ["head"], broken) == "training.weights-not-finite"


def test_a_weight_that_is_no_number_is_named():
    model = Net()
    before = guards.fingerprint(model)
    with torch.no_grad():
        model.body.weight[0, 0] = math.nan
    with pytest.raises(TrainingError, match=r"body\.weight") as caught:
        guards.check_moved(before, model, ["head"])
    assert caught.value.code == "training.weights-not-finite"


def test_the_loop_asks_the_guards(tmp_path):
    broken = [{"x": [math.nan, 0.0], "y": 0.0}] * 4
    assert code(run, loop(tmp_path / "nan", broken)) == "training.loss-not-finite"
    solved = [{"x": [0.0, 0.0], "y": 0.0}] * 4
    model = Net()
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.zero_()
    assert code(run, loop(tmp_path / "zero", solved, model=model, epochs=9)) == "training.loss-zero"
    frozen = Net()
    frozen.head.requires_grad_(False)
    assert code(run, loop(tmp_path / "head", rows(8), model=frozen)) == "training.head-still"
    assert code(loop, tmp_path / "rows", []) == "training.no-rows"


def test_a_run_of_one_step_with_a_rate_too_small_to_move_a_weight_is_told(tmp_path):
    one = loop(tmp_path, rows(8), learning_rate=1e-30, head_learning_rate=1e-30, weight_decay=0, max_steps=1)
    assert code(run, one) == "training.weights-still"
