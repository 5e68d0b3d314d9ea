import pytest

from jishi.core import registry
from jishi.core.contracts import Base, Objective
from jishi.core.errors import DataError, ModelError, RowError
from jishi.data.columns import canonical, check, check_reader, rename

PAIRS = ({"text": "premise", "text_pair": "hypothesis"}, {"text": "question", "text_pair": "answer"})


def test_a_column_goes_under_the_name_the_task_uses_and_no_longer_under_its_own():
    assert rename({"a": 1, "b": 2}, {"text": "a"}) == {"text": 1, "b": 2}


def test_names_can_be_swapped():
    assert rename({"a": 1, "b": 2}, {"a": "b", "b": "a"}) == {"a": 2, "b": 1}


def test_a_column_used_for_something_else_is_not_used_twice():
    assert rename({"text": "good", "body": "x"}, {"label": "text"}) == {"label": "good", "body": "x"}


def test_several_columns_are_read_as_one_text_without_what_is_empty():
    raw = {"question": "Why?", "hint": None, "references": ["Since A.", "", "Since B."], "points": 2}
    assert rename(raw, {"text": ("question", "hint", "references", "points")}) == {
        "text": "Why?\nSince A.\nSince B.\n2"
    }
    assert rename({"a": "", "b": None}, {"text": ("a", "b")}) == {"text": None}


def test_a_part_that_is_no_text_is_refused():
    with pytest.raises(RowError, match='"b".*join'):
        rename({"a": "x", "b": [{"c": 1}]}, {"text": ("a", "b")})


def test_every_one_of_several_columns_must_be_there():
    with pytest.raises(DataError, match=r'"referenses".*Did you mean "references"'):
        check({"question": "", "references": []}, {"text": ("question", "referenses")}, "a.jsonl:1")


def test_a_pair_is_known_by_its_other_names():
    assert canonical({"premise": 1, "hypothesis": 2, "id": 3}, PAIRS) == {"text": 1, "text_pair": 2, "id": 3}
    assert canonical({"hypothesis": 2}, PAIRS) == {"text": None, "text_pair": 2}  # one side is missing, and is missed


def test_other_names_are_not_looked_at_where_a_row_has_the_task_s_own():
    assert canonical({"text": "a", "answer": "b"}, PAIRS) == {"text": "a", "answer": "b"}
    assert rename({"body": "a", "question": "b"}, {"text": "body"}, PAIRS) == {"text": "a", "question": "b"}


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("text-classification", "text", "image"),
        ("text-generation", "text", "image"),
        ("masked-lm", "text", "image"),
        ("masked-image", "image", "text"),
        ("image-classification", "image", "text"),
    ],
)
def test_a_model_that_reads_something_else_is_refused(name, right, wrong):
    objective = registry.get(Objective, name)()
    check_reader(objective, Base("that", right))
    with pytest.raises(ModelError, match=f"that reads {wrong}, and {name} needs"):
        check_reader(objective, Base("that", wrong))
