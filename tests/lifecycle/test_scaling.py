"""Which size a corpus is for, by hand."""

import pytest

from jishi.lifecycle.scaling import scaling
from jishi.models.parameters import Parameters

SIZES = {"nano": Parameters(100, 60), "tiny": Parameters(1000, 600)}


def told(size: str = "tiny", **changed):
    return scaling(SIZES, size, **{"corpus": 500, "trained": 1000.0, "seconds": 60.0, **changed})


def test_the_largest_that_four_passes_are_enough_for_is_named() -> None:
    """nano wants 2,000 tokens, four passes of 500; one token less, and that is too few."""
    assert told()["size"] == "nano" and told(corpus=499)["size"] is None and told(corpus=5000)["size"] == "tiny"


def test_what_a_size_takes_follows_from_its_inner_parameters() -> None:
    """60 s for 1,000 tokens and 600 parameters are 10⁻⁴ s for one of each."""
    nano, tiny = told()["sizes"]
    assert nano == {
        "size": "nano", "parameters": 100, "tokens": 2000, "passes": 4.0, "flops": 6 * 60 * 2000,
        "seconds": pytest.approx(12.0),
    }  # fmt: skip
    assert (tiny["tokens"], tiny["passes"], tiny["seconds"]) == (20_000, 40.0, pytest.approx(1200.0))


def test_the_model_at_hand_is_told_apart() -> None:
    assert (told()["tokens"], told()["passes"]) == (20_000, 40.0)
    assert (told("nano")["tokens"], told("nano")["passes"]) == (2_000, 4.0)
