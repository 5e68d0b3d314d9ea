"""An average of the weights: worked out by hand, judged, kept by checkpoints, and left in the place of the weights."""

import pytest
import torch

from jishi.training.averages import Averages
from points import Net, loop, rows, run, same, weights


class One(torch.nn.Module):
    """A single weight and a running mean."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("mean", torch.zeros(1))

    def set(self, value):
        with torch.no_grad():
            self.weight.fill_(value)
            self.mean.fill_(-value)


def test_a_moving_average_looks_back_further_the_longer_it_goes():
    """1; then 2/11 of it and 9/11 of 3; then 3/12 of that and 9/12 of 5."""
    model = One()
    averages = Averages(model, "ema", 100)
    for step, value in enumerate((1.0, 3.0, 5.0), 1):
        model.set(value)
        averages.take(step)
    second = 2 / 11 * 1 + 9 / 11 * 3
    expected = 3 / 12 * second + 9 / 12 * 5
    with averages.used():
        assert model.weight.item() == pytest.approx(expected) and model.mean.item() == pytest.approx(-expected)
    assert model.weight.item() == 5.0 and model.mean.item() == -5.0
    averages.settle()
    assert model.weight.item() == pytest.approx(expected)
    assert {name for name, _ in model.named_buffers()} == {"mean"}


def test_an_equal_average_is_that_of_the_last_quarter():
    model = One()
    averages = Averages(model, "swa", 8)
    for step in range(1, 9):
        model.set(float(step))
        averages.take(step)
        with averages.used():
            assert model.weight.item() == (step if step <= 7 else 7.5)
    averages.settle()
    assert model.weight.item() == 7.5


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_the_run_ends_as_its_average_and_goes_on_to_the_same_after_a_stop(tmp_path, kind):
    settings = {"average": kind, "epochs": 4, "batch_size": 4}
    seen, plain = [], Net()
    run(loop(tmp_path / "plain", rows(16), model=plain, epochs=4, batch_size=4))
    model = Net()
    one = loop(tmp_path / "whole", rows(16), model=model, **settings)
    for event in one.events():
        if event.kind == "step":
            seen.append(weights(model))
    if kind == "swa":
        expected = {name: torch.stack([one[name] for one in seen[12:]]).mean(0) for name in seen[0]}
        for name, value in weights(model).items():
            torch.testing.assert_close(value, expected[name])
    assert same(seen[-1], weights(plain)) and not same(weights(model), weights(plain))
    other = Net()
    run(loop(tmp_path / "cut", rows(16), model=other, **settings), stop_at=13)
    other = Net(seed=9)
    run(loop(tmp_path / "cut", rows(16), model=other, **settings))
    assert same(weights(other), weights(model))


def test_what_is_validated_is_the_average(tmp_path):
    model = Net()
    one = loop(tmp_path, rows(16), rows(8), model=model, average="ema", epochs=2, batch_size=4)
    losses = [event.values["loss"] for event in one.events() if event.kind == "validation"]
    judged = one.objective.loss(model, one.objective.collate(rows(8), None))
    assert min(losses) == pytest.approx(float(judged.value.detach()), rel=1e-5)
