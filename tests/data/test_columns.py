from jishi.data.columns import rename


def test_a_column_goes_under_the_name_the_task_uses_and_no_longer_under_its_own():
    assert rename({"a": 1, "b": 2}, {"text": "a"}) == {"text": 1, "b": 2}


def test_names_can_be_swapped():
    assert rename({"a": 1, "b": 2}, {"a": "b", "b": "a"}) == {"a": 2, "b": 1}


def test_a_column_used_for_something_else_is_not_used_twice():
    assert rename({"text": "good", "body": "x"}, {"label": "text"}) == {"label": "good", "body": "x"}
