"""Each text once: equal and nearly equal ones are dropped, the first stays, and what is only related stays too."""

import random

import numpy

from jishi.operations.deduplicate import Deduplicate
from jishi.operations.line_filter import LineFilter

WORDS = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=6)) for n in range(2000)]


def text(seed, words=200):
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def swapped(given, share, seed):
    """With a share of its words replaced."""
    draw, words = random.Random(seed), given.split()
    for place in draw.sample(range(len(words)), int(share * len(words))):
        words[place] = draw.choice(WORDS)
    return " ".join(words)


def verdicts(operation, texts, cuts=(3, 7)):
    """As other processes survey the parts."""
    parts = numpy.split(numpy.arange(len(texts)), [cut for cut in cuts if cut < len(texts)])
    return list(operation.settle([operation.survey([texts[i] for i in part]) for part in parts], len(texts)))


def jaccard(one, other):
    left, right = ({given[i : i + 5] for i in range(len(given) - 4)} for given in (one, other))
    return len(left & right) / len(left | right)


def test_equal_and_nearly_equal_texts_are_dropped_and_the_first_stays():
    first, other = text(1), text(2)
    near, related = swapped(first, 0.04, 3), swapped(first, 0.3, 4)
    assert jaccard(first, near) > 0.88 and 0.2 < jaccard(first, related) < 0.5
    texts = [first, other, first, near, related, first.upper(), other]
    assert verdicts(Deduplicate(), texts) == [None, None, "equal", "nearly-equal", None, "nearly-equal", "equal"]
    assert verdicts(Deduplicate(threshold=1), texts) == [None, None, "equal", None, None, None, "equal"]


def test_what_was_dropped_drops_nothing_itself():
    chain = [text(1)]
    while jaccard(chain[0], chain[-1]) > 0.6:
        chain.append(swapped(chain[-1], 0.03, len(chain)))
    kept = [one for one, verdict in zip(chain, verdicts(Deduplicate(), chain), strict=True) if not verdict]
    assert kept[0] == chain[0] and len(kept) >= 2
    assert all(jaccard(one, other) < 0.88 for place, one in enumerate(kept) for other in kept[:place])


def test_nearly_all_planted_near_duplicates_are_found_and_nothing_else():
    originals = [text(seed, 150) for seed in range(300)]
    planted = [swapped(one, 0.03, seed) for seed, one in enumerate(originals)]
    assert min(jaccard(*pair) for pair in zip(originals, planted, strict=True)) > 0.85
    found = verdicts(Deduplicate(), originals + planted)
    assert found[:300] == [None] * 300
    assert found[300:].count("nearly-equal") >= 285


def test_short_and_odd_texts():
    assert verdicts(Deduplicate(), ["a", "b", "a", "", "你好", "你好呀", "\ud800"]) == [
        None,
        None,
        "equal",
        *[None] * 4,
    ]


def test_lines_that_stand_in_many_texts_are_taken_out():
    texts = [f"Copyright of everyone\nbody of text {n}\nshort" for n in range(4)] + ["Copyright of everyone"]
    operation = LineFilter(texts=3)
    known = verdicts(operation, texts)
    found = [operation.treat(one, values) for one, values in zip(texts, known, strict=True)]
    assert [list(one.texts) for one in found] == [[f"body of text {n}\nshort"] for n in range(4)] + [[]]
    assert found[0].reasons == {"repeated-line": 1}
    assert [
        operation.treat(one, values) for one, values in zip(texts, verdicts(LineFilter(texts=5), texts), strict=True)
    ] == [None] * 5
    assert operation.treat("x", None) is None
