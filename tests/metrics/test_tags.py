import pytest

from jishi.metrics.tags import bio, bioes, spans

FOUND = [(0, 2, "PER"), (2, 3, "PER"), (4, 7, "LOC")]


@pytest.mark.parametrize(
    "tags",
    [
        "B-PER I-PER B-PER O B-LOC I-LOC I-LOC",  # BIO
        "I-PER I-PER B-PER O I-LOC I-LOC I-LOC",  # IOB1
        "B-PER E-PER S-PER O B-LOC I-LOC E-LOC",  # BIOES
        "B-PER L-PER U-PER O B-LOC I-LOC L-LOC",  # BILOU
        "B-PER E-PER S-PER O B-LOC M-LOC E-LOC",  # BMES
        "B-PER I-PER B-PER O I-LOC I-LOC I-LOC",  # a B- forgotten
    ],
)
def test_every_scheme_says_the_same(tags):
    assert spans(tags.split()) == FOUND


def test_bare_labels_join_neighbours_of_one_type():
    assert spans(["PER", "PER", "O", "LOC", "ORG"]) == [(0, 2, "PER"), (3, 4, "LOC"), (4, 5, "ORG")]


def test_a_label_may_hold_a_hyphen():
    assert spans(["B-creative-work", "I-creative-work"]) == [(0, 2, "creative-work")]


def test_tags_and_spans_are_each_others_inverse():
    assert bio(FOUND, 8) == ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "I-LOC", "I-LOC", "O"]
    assert bioes(FOUND, 8) == ["B-PER", "E-PER", "S-PER", "O", "B-LOC", "I-LOC", "E-LOC", "O"]
    assert spans(bio(FOUND, 8)) == spans(bioes(FOUND, 8)) == FOUND


def test_no_tags_hold_nothing():
    assert spans([]) == spans(["O", "O"]) == []
