import pytest
from PIL import Image

from jishi.core import registry
from jishi.core.errors import DataError
from jishi.data.infer import infer, infer_task
from jishi.data.spec import DataSpec


@pytest.mark.parametrize(
    ("row", "task"),
    [
        ({"text": "x", "label": "a"}, "text-classification"),
        ({"text": "x", "text_pair": "y", "label": 1, "id": 7}, "text-classification"),
        ({"text": "Ann", "spans": [{"start": 0, "end": 3, "label": "PER"}]}, "token-classification"),
        ({"tokens": ["Ann", "sang"], "tags": ["B-PER", "O"]}, "token-classification"),
    ],
)
def test_the_columns_tell_the_task(row, task):
    assert infer_task([row]) == task


def test_one_bad_row_among_the_first_does_not_hide_the_task():
    assert infer_task([{"text": "", "label": "a"}, {"text": "x", "label": "a"}]) == "text-classification"


@pytest.mark.parametrize("row", [{"review": "x", "stars": 5}, {"text": "x"}])
def test_columns_that_fit_nothing_are_told_what_is_needed(row):
    with pytest.raises(DataError, match=r"text-classification: text \+ label"):
        infer_task([row])


def test_columns_that_fit_two_tasks_equally_are_left_to_the_user():
    with pytest.raises(DataError, match="more than one"):
        infer_task([{"text": "Ann", "label": "a", "spans": [{"start": 0, "end": 3, "label": "PER"}]}])


SPANS = [{"start": 0, "end": 3, "label": "PER"}]


@pytest.mark.parametrize(
    "row",
    [{"text": "Ann", "text_pair": "y", "label": "a", "spans": SPANS}, {"text": "Ann", "label": "a", "entities": SPANS}],
)
def test_of_two_tasks_the_one_that_names_more_columns_is_meant(row):
    assert infer_task([row]) == "text-classification"


@pytest.mark.parametrize(("content", "message"), [("{", "a.jsonl:1: "), ("\n", "holds no row")])
def test_a_file_without_a_good_row_says_what_is_wrong_with_it(write, content, message):
    with pytest.raises(DataError, match=message):
        infer(DataSpec(write("a.jsonl", content)))


def test_a_file_is_looked_into_under_the_names_of_the_spec(write):
    source = write("a.csv", "review,stars\ngood,5\n")
    found = infer(DataSpec(source, columns={"text": "review", "label": "stars"}))
    assert registry.name_of(found) == "text-classification"


def test_pictures_are_found_beside_the_file_that_names_them(write, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    source = write("a.jsonl", [{"image": "a.png", "label": 3}])
    assert registry.name_of(infer(DataSpec(source))) == "image-classification"
