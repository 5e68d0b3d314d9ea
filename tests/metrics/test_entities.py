import warnings

import numpy
import pytest

from jishi.metrics import tags
from jishi.metrics.entities import entities, partial, per_type

TRUTH = [{(0, 2, "PER"), (5, 9, "LOC")}, {(1, 3, "PER")}, set()]
GIVEN = [{(0, 2, "PER"), (5, 8, "LOC")}, set(), {(0, 1, "ORG")}]


def test_scores_by_hand():
    scores = entities(TRUTH, GIVEN)
    assert scores["precision"] == 1 / 3
    assert scores["recall"] == 1 / 3
    assert scores["f1"] == 1 / 3
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0 + 0) / 3)  # PER: one of two found, nothing false


def test_per_type_lists_given_types_first_and_never_the_outside():
    table = per_type(TRUTH, GIVEN, ["PER", "LOC"])
    assert [row["label"] for row in table] == ["PER", "LOC", "ORG"]
    assert table[0] == {"label": "PER", "precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2}


def test_every_entity_has_one_fate():
    truth = [{(0, 2, "A"), (3, 6, "A"), (7, 9, "A"), (10, 14, "A"), (20, 22, "B"), (30, 40, "A")}]
    given = [
        {
            (0, 2, "A"),
            (4, 6, "A"),
            (7, 9, "B"),
            (10, 12, "B"),
            (12, 14, "B"),
            (25, 27, "A"),
            (29, 36, "A"),
            (36, 40, "A"),
        }
    ]
    assert partial(truth, given) == {"right": 1, "boundary": 2, "type": 1, "both": 1, "missed": 1, "spurious": 3}
    assert partial(TRUTH, GIVEN) == {"right": 1, "boundary": 1, "type": 0, "both": 0, "missed": 1, "spurious": 1}


def test_nothing_to_find_scores_nothing():
    assert entities([], []) == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "macro_f1": 0.0}


@pytest.mark.parametrize("scheme", ["IOB2", "IOBES"])
def test_scores_agree_with_seqeval(scheme):
    from seqeval import scheme as schemes
    from seqeval.metrics import f1_score, precision_score, recall_score

    rng = numpy.random.default_rng(1)
    write = {"IOB2": tags.bio, "IOBES": tags.bioes}[scheme]
    truth = [write(_random(rng), 12) for _ in range(60)]
    given = [write(_random(rng) if index % 2 else tags.spans(row)[:-1], 12) for index, row in enumerate(truth)]
    ours = entities([tags.spans(row) for row in truth], [tags.spans(row) for row in given])
    for options in ({}, {"mode": "strict", "scheme": getattr(schemes, scheme)}):
        assert ours["precision"] == pytest.approx(precision_score(truth, given, **options))
        assert ours["recall"] == pytest.approx(recall_score(truth, given, **options))
        assert ours["f1"] == pytest.approx(f1_score(truth, given, **options))
        assert ours["macro_f1"] == pytest.approx(f1_score(truth, given, average="macro", **options))


def test_broken_tags_are_read_as_conlleval_reads_them():
    from seqeval.metrics import f1_score

    rng = numpy.random.default_rng(2)
    names = ["O", "B-A", "I-A", "B-B", "I-B"]
    truth = [rng.choice(names, 10).tolist() for _ in range(200)]
    given = [rng.choice(names, 10).tolist() for _ in range(200)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = f1_score(truth, given)
    ours = entities([tags.spans(row) for row in truth], [tags.spans(row) for row in given])
    assert ours["f1"] == pytest.approx(expected)


def _random(rng):
    """Up to three entities, side by side or apart, in twelve tokens."""
    cuts = sorted(rng.choice(13, 6, replace=False).tolist())
    return [(start, end, str(rng.choice(["A", "B", "C"]))) for start, end in zip(cuts[::2], cuts[1::2], strict=True)]
