"""Attention in blocks is attention row by row, forward and backward."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from jishi.training.attention import Attention, Blocks, padded_length

LENGTHS = torch.tensor([1, 3, 3, 8, 9])  # blocks of 8 and of 16
HEADS, WIDTH, FILLERS = 2, 4, 3


def states(dtype=torch.float64) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    shape = (int(LENGTHS.sum()) + FILLERS, HEADS, WIDTH)
    return [torch.randn(shape, generator=draw, dtype=dtype).requires_grad_() for _ in range(3)]


def blocks() -> Blocks:
    return Blocks.of(LENGTHS, HEADS)


def row_by_row(query, key, value, causal: bool) -> torch.Tensor:
    """What torch says of each row alone."""
    answers, start = [], 0
    for length in LENGTHS.tolist():
        apart = (one[start : start + length].transpose(0, 1) for one in (query, key, value))
        answers.append(scaled_dot_product_attention(*apart, is_causal=causal, scale=0.3).transpose(0, 1))
        start += length
    return torch.cat([*answers, torch.zeros(FILLERS, HEADS, WIDTH, dtype=query.dtype)])


@pytest.mark.parametrize("causal", [False, True])
def test_it_is_what_torch_says_of_each_row_alone(causal):
    given = states()
    torch.testing.assert_close(Attention.apply(*given, blocks(), 0.3, causal, 0.0), row_by_row(*given, causal))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_its_gradients_are_those_of_its_answers(causal, rate):
    """Held to finite differences; with dropout the same mask is drawn every time."""

    def answer(*given):
        torch.manual_seed(0)
        return Attention.apply(*given, blocks(), 0.3, causal, rate)

    assert torch.autograd.gradcheck(answer, states())


def test_dropout_leaves_out_weights_and_keeps_the_mean():
    """Rows of two tokens that look at both alike, one value 1 and the other 3: 0, 1/2 and 3/2 over 0.75, or both."""
    lengths = torch.full((4000,), 2)
    query = torch.zeros(8000, 1, 1)
    value = torch.tensor([1.0, 3.0]).repeat(4000).view(-1, 1, 1)
    torch.manual_seed(0)
    answer = Attention.apply(query, query, value, Blocks.of(lengths, 1), 1.0, False, 0.25)
    torch.testing.assert_close(answer.unique(), torch.tensor([0, 0.5, 1.5, 2.0]) / 0.75)
    assert abs(float(answer.mean()) - 2) < 4 * (((1 + 9) / 4) * (0.25 / 0.75) / 8000) ** 0.5


def test_no_row_sees_another():
    """A number that is none in one row's keys spoils that row and no other."""
    query, key, value = (one.detach() for one in states())
    key[4:7] = torch.nan  # the third row
    answer = Attention.apply(query, key, value, blocks(), 0.3, False, 0.0)
    spoilt = answer.isnan().flatten(1).any(1)
    assert spoilt.nonzero()[:, 0].tolist() == [4, 5, 6]


def test_rows_are_padded_to_few_lengths():
    assert [padded_length(length) for length in (0, 1, 8, 9, 64, 65, 127, 128, 129, 300)] == [
        0, 8, 8, 16, 64, 72, 128, 128, 144, 320,
    ]  # fmt: skip
    assert [block.length for block in blocks().each] == [8, 16]
