import numpy
import pytest

from jishi.core.errors import RowError
from jishi.modalities.text import Text


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "no-text"), (" \n", "no-text"), (float("nan"), "no-text"), (b"a", "no-text"), ([], "no-text"),
        ("a\x00b", "text-control"), ("a\ud800", "text-control"), ("x" * 11, "text-too-long"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused(value, code):
    with pytest.raises(RowError) as caught:
        Text(max_characters=10).read(value)
    assert caught.value.code == f"modalities.{code}"


def test_a_text_is_never_rewritten():
    assert Text().read(" Ａ\u00a0b\n") == " Ａ\u00a0b\n"
    assert Text().read(12) == "12"


def test_damage_grows_with_severity_and_none_leaves_the_text():
    rng, text = numpy.random.default_rng(0), "the quick brown fox jumps over the lazy dog " * 5
    assert Text().corrupt(text, 0.0, rng) == text

    def changed(severity):
        damaged = Text().corrupt(text, severity, numpy.random.default_rng(1))
        return abs(len(damaged) - len(text)) + sum(a != b for a, b in zip(damaged, text, strict=False))

    assert 0 < changed(0.02) < changed(1.0)


def test_augmenting_drops_a_tenth_of_the_words_and_never_all():
    rng = numpy.random.default_rng(0)
    words = " ".join(f"w{number}" for number in range(500))
    left = set(Text().augment(words, rng).split())
    assert left < set(words.split())
    assert 420 < len(left) < 480
    assert all(Text().augment("好", rng) == "好" for _ in range(50))


def test_statistics_describe_the_text():
    assert Text().statistics("Ab12") == {"characters": 4.0, "script": "latin", "digits": 0.5, "capitals": 0.25}
