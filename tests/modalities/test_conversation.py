import numpy
import pytest

from jishi.core.errors import RowError
from jishi.modalities.conversation import Conversation

TURNS = [{"role": "system", "content": "简短"}, {"role": "user", "content": "几点开门？"}]


def test_a_bare_text_is_what_the_user_says_and_other_names_of_roles_are_read() -> None:
    assert Conversation().read("几点开门？") == TURNS[1:]
    given = [{"from": "system", "value": "简短"}, {"from": "human", "value": "几点开门？"}]
    assert Conversation().read(given) == TURNS == Conversation().read(TURNS)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "1 to 1000 turns"), (["hi"], "role and content"), ({"role": "user"}, "role and content"), ("  ", "text"),
        ([*TURNS, {"role": "tool", "content": "1"}], "Turn 3 has the role tool"),
        ([TURNS[0], *TURNS], "Turn 2 is a second system turn"), ([TURNS[1], TURNS[0]], "Turn 2 is a system turn, which must"),
        ([{"role": "user", "content": " "}], "Turn 1 can't be read"), ([{"role": "user"}], "Turn 1 can't be read"),
    ],
)  # fmt: skip
def test_what_is_no_conversation_is_refused_with_its_reason(value, message) -> None:
    with pytest.raises(RowError, match=message):
        Conversation().read(value)


def test_statistics_and_variations_leave_the_other_turns_alone() -> None:
    reader = Conversation()
    assert reader.statistics(TURNS) == {"turns": 2.0, "characters": 7.0, "script": "han"}
    for found in (
        reader.corrupt(TURNS, 1.0, numpy.random.default_rng(1)),
        reader.augment(TURNS, numpy.random.default_rng(1)),
    ):
        assert found[0] == TURNS[0] and found[1]["role"] == "user"
    assert reader.corrupt(TURNS, 0.0, numpy.random.default_rng(1)) == TURNS
