"""Dropout drawn the fast way is dropout."""

import pytest
import torch

from jishi.training.dropout import fast

COUNT = 200_003  # no multiple of four


def layer(rate: float, training: bool = True) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Dropout(rate)).train(training)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_as_many_values_are_dropped_as_the_rate_says_and_the_rest_are_scaled(rate):
    """A binomial of n trials has σ = √(n p (1 − p))."""
    torch.manual_seed(0)
    model = layer(rate)
    with fast(model):
        out = model(torch.ones(COUNT))
    dropped = int((out == 0).sum())
    assert abs(dropped - rate * COUNT) < 4 * (COUNT * rate * (1 - rate)) ** 0.5
    torch.testing.assert_close(out[out != 0].unique(), torch.tensor([1 / (1 - rate)]))


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    model = layer(0.5)
    with fast(model):
        kept = (model(torch.ones(COUNT)) != 0).float() - 0.5
    for distance in (1, 2, 3, 4, 8):
        correlation = float((kept[distance:] * kept[:-distance]).mean()) * 4
        assert abs(correlation) < 4 / COUNT**0.5


def test_the_gradient_goes_where_the_values_went():
    torch.manual_seed(0)
    model, x = layer(0.3), torch.ones(1000, requires_grad=True)
    with fast(model):
        out = model(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_it_follows_torch_s_random_state_and_ends_with_the_block():
    model, x, found = layer(0.3), torch.ones(64), []
    for _ in range(2):
        torch.manual_seed(3)
        with fast(model):
            found.append(model(x))
    assert torch.equal(*found) and "forward" not in vars(model[0])
    with fast(model):
        assert not torch.equal(model(x), found[0])


def test_nothing_is_dropped_in_evaluation():
    model, x = layer(0.9, training=False), torch.ones(64)
    with fast(model):
        assert torch.equal(model(x), x)
