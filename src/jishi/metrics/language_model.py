"""How well a model foresees texts, from the summed negative log-probability (nats) it gives them."""

import math


def perplexity(nats: float, tokens: float) -> float:
    """The number of equally likely tokens that would surprise as much. Hangs on the tokenizer; infinite beyond e^700."""
    return math.exp(nats / tokens) if tokens and nats / tokens < 700 else math.inf


def bits_per_character(nats: float, characters: float) -> float:
    """Bits a character costs: comparable between models whatever their tokens are."""
    return nats / math.log(2) / characters if characters else math.inf


def likelihood(nats: float, characters: float) -> float:
    """The geometric mean of the probabilities of the characters, 0 to 1: 2 to the minus bits per character."""
    return math.exp(-nats / characters) if characters else 0.0
