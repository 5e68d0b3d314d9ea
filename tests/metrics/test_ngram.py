"""Kneser–Ney against a computation by hand, and against one that follows the formulas word by word."""

import math
import random
from collections import Counter, defaultdict

import numpy
import pytest

from jishi.metrics import ngram
from jishi.metrics.ngram import KneserNey

POSSIBLE = 0x110000 + 1  # the code points of Unicode, and the end


def test_two_characters_by_hand():
    """Bigrams of "ab", "ab", "ac" ($ begins, . ends); too few to fit discounts, so 0.5, 1 and 1.5.

    Ways in which a character is begun: a 1 ($a), b 1 (ab), c 1 (ac), the end 2 (b., c.): 5 in all, of which 0.5 · 3 + 1 are left
    to what was never seen. After a: b 2, c 1, of which 1 + 0.5 are left; after $: a 3, 1.5 left; after b: end 2, 1 left.
    """
    unseen = 2.5 / 5 / POSSIBLE
    once, end = 0.5 / 5 + unseen, (2 - 1) / 5 + unseen
    a = (3 - 1.5) / 3 + 1.5 / 3 * once
    b = (2 - 1) / 3 + 1.5 / 3 * once
    ends = (2 - 1) / 2 + 1 / 2 * end
    after_c = (1 - 0.5) / 1 + 0.5 / 1 * end
    model = KneserNey.fit(["ab", "ab", "ac"], order=2)
    found = model.nats(["ab", "ad", "", "c"])
    assert found[0] == pytest.approx(-math.log(a * b * ends))
    assert found[1] == pytest.approx(-math.log(a * (1.5 / 3 * unseen) * end))  # what follows d was never seen
    assert found[2] == pytest.approx(-math.log(1.5 / 3 * end))
    assert found[3] == pytest.approx(-math.log(1.5 / 3 * once * after_c))


def by_the_book(texts, order):
    """p(w | context), written with dictionaries, a formula a line."""
    raw = Counter()
    for text in texts:
        marked = ["$", *text, "."]
        raw.update(tuple(marked[i - n : i + 1]) for i in range(1, len(marked)) for n in range(min(order - 1, i) + 1))
    ways = defaultdict(set)
    for run in raw:
        if len(run) > 1:
            ways[run[1:]].add(run[0])
    count = {run: raw[run] if len(run) == order or run[0] == "$" else len(ways[run]) for run in raw}
    taken = {}
    for n in range(1, order + 1):
        t = Counter(min(value, 5) for run, value in count.items() if len(run) == n)
        y = t[1] / (t[1] + 2 * t[2]) if t[1] else 0
        fits = all(t[k] for k in (1, 2, 3, 4))  # of eleven characters there are too few
        taken[n] = [0, *(k - (k + 1) * y * t[k + 1] / t[k] for k in (1, 2, 3))] if fits else [0, 0.5, 1, 1.5]

    def chance(word, context):
        lower = chance(word, context[1:]) if context else 1 / POSSIBLE
        follow = {run: value for run, value in count.items() if run[:-1] == context}
        if not follow:
            return lower
        total, discount = sum(follow.values()), taken[len(context) + 1]
        left = sum(discount[min(value, 3)] for value in follow.values()) / total
        own = count.get((*context, word), 0)
        return max(own - discount[min(own, 3)], 0) / total + left * lower

    return chance


@pytest.fixture(scope="module")
def texts():
    rng = random.Random(3)
    return [
        "".join(rng.choices("abcdefghij", [20, 12, 8, 5, 4, 3, 2, 1, 1, 1], k=rng.randrange(0, 25))) for _ in range(120)
    ]


@pytest.mark.parametrize("order", [2, 3, 5])
def test_it_is_the_one_in_the_book(texts, order):
    chance, model = by_the_book(texts, order), KneserNey.fit(texts, order)
    given = ["abacab", "jjjiij", "abzab", ""]
    for text, found in zip(given, model.nats(given), strict=True):
        marked = ["$", *text, "."]
        wanted = -sum(
            math.log(chance(marked[i], tuple(marked[max(0, i - order + 1) : i]))) for i in range(1, len(marked))
        )
        assert found == pytest.approx(wanted, rel=1e-9)


def test_what_may_come_next_adds_up_to_one(texts):
    """After "a", with the chance of the end behind it divided out; the rest of Unicode is as likely as a character never seen."""
    model, known = KneserNey.fit(texts, 2), "abcdefghij"
    lead = by_the_book(texts, 2)("a", ("$",))
    ends = {one: by_the_book(texts, 2)(".", (one,)) for one in [*known, "?"]}
    after = {one: math.exp(-model.nats([f"a{one}"])[0]) / lead / ends[one] for one in ends}
    stop = math.exp(-model.nats(["a"])[0]) / lead
    unseen = after.pop("?")
    assert stop + sum(after.values()) + (POSSIBLE - 11) * unseen == pytest.approx(1)


def test_texts_stand_alone_and_marks_of_theirs_are_characters(texts):
    model = KneserNey.fit(texts)
    numpy.testing.assert_allclose(model.nats(["ab", "cab"]), [model.nats([one])[0] for one in ("ab", "cab")])
    odd = KneserNey.fit(["\x00\x01a\ud800", "𠮷a"])
    assert numpy.isfinite(odd.nats(["\x00𠮷\udc00"])).all()


def test_more_context_helps_where_it_decides():
    """What comes after b follows from what stands before it."""
    said = ["xbyxby", "ubvubv"] * 30
    short, long = (KneserNey.fit(said, order).nats(["xbyxby"])[0] for order in (2, 3))
    assert long < 0.7 * short


def test_discounts_are_fitted_where_there_is_enough_to_count():
    """By hand: 8 once, 4 twice, 2 three times, 1 four times: Y = 8 / 16, so 0.5, 1.25, 2."""
    counts = numpy.asarray([1] * 8 + [2] * 4 + [3] * 2 + [4] + [9])
    assert ngram._discounts(counts).tolist() == [0, 0.5, 1.25, 2]
