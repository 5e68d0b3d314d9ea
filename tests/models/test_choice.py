"""Penalties, filters and draws on distributions small enough for a hand."""

from dataclasses import replace

import pytest
import torch

from jishi.models import choice
from jishi.models.decoding import Decoding

SAMPLING = Decoding("sampling")
FOUR = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()


def kept(decoding: Decoding) -> list[bool]:
    return choice.filtered(FOUR, decoding)[0].isfinite().tolist()


def test_top_k_and_top_p_keep_what_the_papers_say() -> None:
    assert kept(replace(SAMPLING, top_k=2)) == [True, True, False, False]
    assert kept(replace(SAMPLING, top_p=0.79)) == [True, True, False, False]
    assert kept(replace(SAMPLING, top_p=0.81)) == [True, True, True, False]  # the one that crosses the bound stays
    assert kept(replace(SAMPLING, top_p=0.01)) == [True, False, False, False]
    assert kept(replace(SAMPLING, top_k=9)) == [True] * 4


def test_temperature_sharpens_before_top_p_is_measured() -> None:
    sharp = choice.filtered(FOUR, replace(SAMPLING, temperature=0.5)).softmax(1)[0]
    squares = torch.tensor([0.25, 0.09, 0.0225, 0.0025])
    torch.testing.assert_close(sharp, squares / squares.sum())
    assert kept(replace(SAMPLING, temperature=0.5, top_p=0.68)) == [True, False, False, False]  # 0.25 / 0.365 = 0.685


def test_repetition_divides_what_is_positive_and_multiplies_what_is_negative() -> None:
    scores = choice.allowed(torch.tensor([[2.0, -2.0, 1.0]]), [[0, 1, 0]], Decoding(repetition_penalty=2.0))
    assert scores.tolist() == [[1.0, -4.0, 1.0]]


def test_no_run_of_tokens_may_stand_twice() -> None:
    assert choice.repeats([1, 2, 3, 1, 2], 3) == {3}
    assert choice.repeats([1, 2, 1, 3, 1], 2) == {2, 3}
    assert choice.repeats([4, 5], 1) == {4, 5}
    assert choice.repeats([1], 3) == set()
    scores = choice.allowed(torch.zeros(1, 4), [[1, 2, 1]], Decoding(no_repeat_ngram=2))
    assert scores.tolist() == [[0.0, 0.0, choice.NEVER, 0.0]]


def test_the_margin_is_the_lead_and_the_chance_is_the_model_s_own() -> None:
    found = choice.choose(FOUR, [[0]], [0], 0, Decoding(repetition_penalty=4.0))  # 0.5 ** 4 is below 0.3
    assert found[0].tolist() == pytest.approx([1, FOUR[0, 1].item(), (FOUR[0, 1] - FOUR[0, 2]).item()], abs=1e-6)
    alone = choice.choose(FOUR, [[]], [0], 0, replace(SAMPLING, top_k=1))
    assert alone[0, 0] == 0 and alone[0, 2] == choice.MOST


def test_draws_have_the_asked_distribution_and_follow_from_key_and_step() -> None:
    """40,000 draws: each count within four standard deviations of its expectation."""
    draws = 40_000
    keys = [choice.key(3, [row]) for row in range(draws)]
    tokens = choice.choose(FOUR.expand(draws, 4), [[]] * draws, keys, 5, SAMPLING)[:, 0].long()
    counts = torch.bincount(tokens, minlength=4)
    for count, chance in zip(counts.tolist(), FOUR.exp()[0].tolist(), strict=True):
        assert abs(count - draws * chance) < 4 * (draws * chance * (1 - chance)) ** 0.5
    few = choice.choose(FOUR.expand(7, 4), [[]] * 7, keys[10:17], 5, SAMPLING)[:, 0].long()
    assert few.tolist() == tokens[10:17].tolist()
    later = choice.choose(FOUR.expand(draws, 4), [[]] * draws, keys, 6, SAMPLING)[:, 0].long()
    same = (later == tokens).double().mean().item()
    assert same == pytest.approx(0.5**2 + 0.3**2 + 0.15**2 + 0.05**2, abs=0.02)  # as independent draws would


def test_the_counter_is_splitmix64() -> None:
    """The first numbers of SplitMix64 from state 0, as its author publishes them."""
    bits = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    uniform = torch.tensor([((value >> 11) + 0.5) / 2.0**53 for value in bits], dtype=torch.float64)
    torch.testing.assert_close(choice.noise([0], 0, 3)[0], -(-uniform.log()).log())
