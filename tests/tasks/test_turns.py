"""Every form in which conversations come, read as one."""

import json

import pytest

from jishi.core.errors import RowError
from jishi.tasks import _turns

USER = {"role": "user", "content": "1+1=?"}
ROW = {"prompt": [USER], "answer": "2"}
SYSTEM = {"role": "system", "content": "Be brief."}
MESSAGES = [SYSTEM, USER, {"role": "assistant", "content": "2"}]


@pytest.mark.parametrize(
    ("raw", "row"),
    [
        ({"prompt": "1+1=?", "answer": "2"}, ROW),
        ({"prompt": "1+1=?", "completion": "2"}, ROW),
        ({"prompt": [USER], "response": 2}, ROW),
        ({"instruction": "1+1=?", "input": "", "output": "2"}, ROW),
        ({"instruction": "Add", "input": "1+1", "output": "2"}, {"prompt": [{**USER, "content": "Add\n1+1"}], "answer": "2"}),
        ({"instruction": "1+1=?", "output": "2", "system": "Be brief."}, {"prompt": [SYSTEM, USER], "answer": "2"}),
        (
            {"instruction": "1+1=?", "output": "2", "history": [["hi", "hello"]]},
            {"prompt": [{**USER, "content": "hi"}, {"role": "assistant", "content": "hello"}, USER], "answer": "2"},
        ),
        ({"messages": MESSAGES}, {"prompt": [SYSTEM, USER], "answer": "2"}),
        ({"messages": json.dumps(MESSAGES)}, {"prompt": [SYSTEM, USER], "answer": "2"}),
        (
            {"conversations": [{"from": "human", "value": "1+1=?"}, {"from": "gpt", "value": "2"}], "system": "Be brief."},
            {"prompt": [SYSTEM, USER], "answer": "2"},
        ),
        ({"turns": ["1+1=?", "2"]}, ROW), ({"turns": '["1+1=?", "2"]'}, ROW),
        ({"prompt": "1+1=?", "chosen": "2", "rejected": "3"}, {**ROW, "rejected": "3"}),
        (
            {"prompt": "1+1=?", "chosen": [USER, {"role": "assistant", "content": "2"}], "rejected": "3"},
            {**ROW, "rejected": "3"},
        ),
        ({"text": "从前有座山"}, {"text": "从前有座山"}),
    ],
)  # fmt: skip
def test_every_form_comes_to_the_same_row_and_that_row_to_itself(raw, row) -> None:
    assert _turns.parse(raw, training=True) == row
    assert _turns.parse(row, training=True) == row


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"prompt": "1+1=?"}, "no answer"), ({"turns": ["1+1=?", "2", "?"]}, "no answer"), ({"turns": "x"}, "no answer"),
        ({"prompt": "1+1=?", "answer": " "}, "no answer in answer"),
        ({"instruction": "1+1=?", "output": ""}, "no answer"),
        ({"messages": [SYSTEM, USER]}, "no answer"), ({"messages": [MESSAGES[2]]}, "does not end with a user turn"),
        ({"messages": [SYSTEM, *MESSAGES]}, "second system turn"), ({"messages": [SYSTEM], "answer": "2"}, "user turn"),
        ({"prompt": "1+1=?", "chosen": "2", "rejected": "2"}, "are the same"), ({"label": "x"}, "text"),
        ({"prompt": "1+1=?", "chosen": "2", "rejected": ""}, "no answer in rejected"),
    ],
)  # fmt: skip
def test_a_row_that_teaches_nothing_is_refused(raw, message) -> None:
    with pytest.raises(RowError, match=message):
        _turns.parse(raw, training=True)


def test_without_training_the_answer_may_be_absent() -> None:
    assert _turns.parse({"messages": [SYSTEM, USER]}, training=False) == {"prompt": [SYSTEM, USER]}
    assert _turns.parse({"prompt": "1+1=?"}, training=False) == {"prompt": [USER]}
