import pytest

import writers
from jishi.models.ends import Ends, Pieces

PROCESSOR = writers.bytewise()


def ids(text: str) -> list[int]:
    return PROCESSOR(text)["input_ids"]


def test_a_stop_string_is_found_across_tokens_and_is_no_part_of_the_text() -> None:
    ends = Ends.of(PROCESSOR, ("###", "用户："))
    written = ids("好的。\n用户：再见")
    reached = next(count for count in range(1, len(written) + 1) if ends.reached(written[:count]))
    assert written[:reached] == ids("好的。\n用户：")
    assert ends.text(written) == "好的。\n"


def test_the_first_of_several_stop_strings_cuts() -> None:
    assert Ends.of(PROCESSOR, ("b", "a")).text(ids("xaxb")) == "x"


def test_an_end_token_ends_and_is_no_part_of_the_text() -> None:
    ends = Ends.of(PROCESSOR, also=[7])
    assert ends.reached([*ids("ok"), writers.END]) and ends.reached([*ids("ok"), 7]) and not ends.reached(ids("ok"))
    assert ends.text([*ids("ok"), 7]) == "ok"


@pytest.mark.parametrize("text", ["今天天气真好😀, ok", "龘", "a\n\nb", "ends so##", "##a####b", "é中é"])
def test_pieces_never_hold_half_a_character_nor_a_stop_string_and_make_up_the_text(text: str) -> None:
    ends = Ends.of(PROCESSOR, ("###",))
    pieces = Pieces(ends)
    given = []
    for token in ids(text):
        given.append(pieces.add(token))
        assert "\ufffd" not in given[-1] and "###" not in "".join(given)
    given.append(pieces.rest())
    assert "".join(given) == text.partition("###")[0]
    assert len([piece for piece in given if piece]) > 1 or len(text) < 2 or "#" in text


def test_a_broken_character_at_the_very_end_is_told_at_last() -> None:
    pieces = Pieces(Ends.of(PROCESSOR))
    assert [pieces.add(token) for token in ids("好中")[:-1]] == ["", "", "好", "", ""]
    assert pieces.rest() == "\ufffd"


class Falling:
    """Bytes where no word fits, as byte fallback has it: where a run of them is no text, none of it is."""

    eos_token_id = None

    def decode(self, ids, **_):
        run, said = bytes(token for token in ids if token < 256), "".join(" fine" for token in ids if token == 256)
        try:
            return run.decode() + said
        except UnicodeDecodeError:
            return "\ufffd" * len(run) + said


def test_what_comes_after_bytes_that_never_become_a_character_is_told_all_the_same() -> None:
    pieces = Pieces(Ends.of(Falling()))
    assert [pieces.add(token) for token in [ord("@"), 0xE4, 256, 256]] == ["@", "", "", ""]
    assert pieces.rest() == "\ufffd fine fine"
