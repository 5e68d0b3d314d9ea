"""Linear layers in bf16 compute what autocast computes, to the bit."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

import tiny
from jishi.adaptation.frozen import Frozen
from jishi.adaptation.lora import LoRA
from jishi.tasks.text_classification import TextClassification
from jishi.training.half import fast

TASK = TextClassification()
ADAPTED = {
    "full": lambda model: model,
    "lora": lambda model: LoRA().apply(model, TASK),
    "frozen": lambda model: Frozen().apply(model, TASK),
}


def trained(adapt: str, *, quick: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The losses and weights of four steps; the last two with a gradient added up over two batches."""
    torch.manual_seed(0)
    model = ADAPTED[adapt](tiny.sequence_classifier(40, num_labels=3, hidden_dropout_prob=0.0)).train()
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-2, fused=True)
    ids = torch.randint(5, 40, (6, 9), generator=torch.Generator().manual_seed(1))
    losses = []
    with fast(model, optimizer) if quick else nullcontext():
        for step in range(4):
            for batch in (ids,) if step < 2 else ids.split(3):
                with torch.autocast("cpu", torch.bfloat16):
                    loss = model(batch).logits.float().logsumexp(-1).mean()
                loss.backward()
                losses.append(loss.detach())
            optimizer.step()
            optimizer.zero_grad()
    return losses, [one.detach() for one in model.parameters()]


@pytest.mark.parametrize("adapt", ADAPTED)
def test_losses_and_weights_are_those_of_autocast(adapt):
    plain, quick = trained(adapt, quick=False), trained(adapt, quick=True)
    for found, expected in zip(quick, plain, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert not torch.equal(quick[0][0], quick[0][1])  # the steps do change the weights


def test_the_weights_of_a_layer_are_rounded_once_a_step():
    layer, x = nn.Sequential(nn.Linear(4, 2)), torch.ones(3, 4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    with fast(layer, optimizer), torch.autocast("cpu", torch.bfloat16):
        first = layer(x)
        with torch.no_grad():
            layer[0].weight.data.zero_()  # behind the optimizer's back: not seen before its next step
        assert torch.equal(layer(x), first)
        layer[0].weight.grad = torch.zeros(2, 4)
        optimizer.step()
        assert torch.equal(layer(x), layer[0].bias.bfloat16().expand(3, 2))


def test_without_autocast_nothing_is_rounded_and_afterwards_the_layers_are_as_before():
    layer, x = nn.Sequential(nn.Linear(4, 2)), torch.rand(3, 4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    expected = layer(x)
    with fast(layer, optimizer):
        assert torch.equal(layer(x), expected)
    assert "forward" not in vars(layer[0]) and not optimizer._optimizer_step_post_hooks
