"""The bits of a text are those of the textbook's formula, whatever stands beside it."""

import random
from collections import Counter, defaultdict
from math import log2

import numpy
import pytest

from jishi.data import characters
from jishi.data.characters import CHARACTERS, DISCOUNT, ORDER, CharacterModel


def texts(seed, count=200):
    draw = random.Random(seed)
    words = ["the", "house", "tree", "of", "river", "在", "房子", "河水", "树上", "的"]
    return [" ".join(draw.choice(words) for _ in range(draw.randint(3, 12))) for _ in range(count)]


def textbook(learnt):
    """Interpolated absolute discounting over dictionaries, grams longer than one kept where they stand twice."""
    whole = "\n".join(learnt)
    counts = [Counter(whole[at : at + n] for at in range(len(whole) - n + 1)) for n in range(1, ORDER + 1)]
    kept = [{gram: count for gram, count in found.items() if count > (n > 0)} for n, found in enumerate(counts)]
    follow = defaultdict(list)
    for found in kept:
        for gram in found:
            follow[gram[:-1]].append(gram)

    def share(gram):
        context = kept[len(gram) - 2][gram[:-1]] if len(gram) > 1 else len(whole)
        return (kept[len(gram) - 1][gram] - DISCOUNT) / context

    def chance(context, character):
        shorter = 1 / CHARACTERS if not context else chance(context[1:], character)
        if context and context not in kept[len(context) - 1]:
            return shorter
        if not context:
            shorter = 1 / CHARACTERS
        left = 1 - sum(share(gram) for gram in follow[context])
        own = share(context + character) if context + character in kept[len(context)] else 0
        return own + left * shorter

    return lambda text: -sum(log2(chance(text[max(0, at - ORDER + 1) : at], text[at])) for at in range(len(text)))


def test_bits_are_those_of_the_textbook():
    learnt = texts(0)
    expected = textbook(learnt)
    asked = [*texts(1, 20), "a word that none has", "未见之字", "x", "的"]
    found = CharacterModel.fit(learnt).bits(asked)
    assert found == pytest.approx([expected(text) for text in asked], rel=0.01)


def test_a_text_takes_the_same_bits_in_any_company(monkeypatch):
    model = CharacterModel.fit(texts(0))
    asked = texts(1, 50)
    together = model.bits(asked)
    assert (together == [model.bits([text])[0] for text in asked]).all()
    monkeypatch.setattr(characters, "CHUNK", 40)
    assert (together == model.bits(asked)).all()
    assert (model.bits(["", asked[0], ""]) == [0, together[0], 0]).all() and not len(model.bits([]))


@pytest.mark.parametrize(("places", "least"), [(characters.PLACES, 0.98), (7, 0)])
def test_the_chances_of_all_that_may_follow_add_up_to_one(monkeypatch, places, least):
    """To no more where grams have lost their places: those that follow them are then left out too."""
    monkeypatch.setattr(characters, "PLACES", places)
    learnt = texts(0)
    model = CharacterModel.fit(learnt)
    seen = sorted({character for text in learnt for character in text} | {"\n"})
    for context in ("t", "the hou", "在房", "zq", *sorted({text[:4] for text in learnt})):
        before = model.bits([context])[0]
        total = sum(2 ** (before - model.bits([context + character])[0]) for character in seen)
        assert least < total < 1.001  # the rest is for characters that were never seen


def test_where_there_is_more_than_can_be_learnt_every_second_text_is():
    given = [f"{number:04}" for number in range(1000)]
    assert characters._some(iter(given)) == given
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(characters, "LEARNT", 1000)
        chosen = characters._some(iter(given))
    steps = numpy.diff([int(one) for one in chosen])
    assert (steps == 4).all() and sum(map(len, chosen)) <= 1000


def test_a_table_that_is_too_small_keeps_the_commonest(monkeypatch):
    monkeypatch.setattr(characters, "PLACES", 8)
    model = CharacterModel.fit(texts(0))
    found = model.bits(texts(1, 20))
    assert numpy.isfinite(found).all() and (found > 0).all()
    assert 0.5 < numpy.mean(model.table != 0) <= 1
