import math

import pytest

from jishi.metrics import language_model


def test_a_model_that_gives_each_of_eight_tokens_a_quarter() -> None:
    """Two bits a token; 32 characters in all: half a bit a character."""
    nats = 8 * math.log(4)
    assert language_model.perplexity(nats, 8) == pytest.approx(4)
    assert language_model.bits_per_character(nats, 32) == pytest.approx(0.5)
    assert language_model.likelihood(nats, 32) == pytest.approx(2**-0.5)


def test_nothing_to_weigh_and_hopeless_models_have_no_finite_score() -> None:
    assert language_model.perplexity(0, 0) == language_model.bits_per_character(0, 0) == math.inf
    assert language_model.perplexity(1e6, 1) == math.inf and language_model.likelihood(0, 0) == 0
