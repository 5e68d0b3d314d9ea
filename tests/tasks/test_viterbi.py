from itertools import product

import numpy

from jishi.tasks._viterbi import best


def test_the_best_sequence_is_that_of_an_exhaustive_search():
    rng = numpy.random.default_rng(0)

    def sensible(tags):
        return all(
            tag == 0 or tag % 2 == 1 or before in (tag - 1, tag) for before, tag in zip((0, *tags), tags, strict=False)
        )

    for _ in range(40):
        logits = rng.normal(0, 2, (4, 5))
        every = [tags for tags in product(range(5), repeat=4) if sensible(tags)]
        expected = max(every, key=lambda tags: logits[range(4), tags].sum())
        assert best(logits).tolist() == list(expected)


def test_an_entity_is_never_continued_before_it_began():
    assert best(numpy.array([[0.0, 1.0, 5.0], [0.0, 0.0, 5.0]])).tolist() == [1, 2]
    assert best(numpy.array([[0.0, -9.0, 1.0]])).tolist() == [0]
