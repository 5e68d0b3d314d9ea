"""Windows over a long text: every token is spoken for once, by the window that sees most around it."""

import numpy
import pytest
import torch

from jishi.models import tokens, windows
from tiny import tokenizer


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 16, 23, 100])
@pytest.mark.parametrize(("room", "stride"), [(8, 8), (8, 4), (8, 1), (1, 1)])
def test_every_token_is_spoken_for_once_by_a_window_that_sees_most_of_its_neighbours(length, room, stride):
    spans = windows.spans(length, room, stride)
    assert all(0 <= end - start <= room for start, end in spans)
    spoken = [(token, window) for window, (start, end) in enumerate(windows.own(spans)) for token in range(start, end)]
    assert [token for token, _ in spoken] == list(range(length))
    for token, window in spoken:
        seen = [min(token - start, end - 1 - token) for start, end in spans]  # neighbours on the poorer side
        assert seen[window] >= 0
        if 0 < window < len(spans) - 1:
            assert seen[window] == max(seen)


def test_windows_of_a_text_of_ten_tokens_worked_out_by_hand():
    assert windows.spans(10, 4, 3) == [(0, 4), (3, 7), (6, 10)]
    assert windows.own([(0, 4), (3, 7), (6, 10)]) == [(0, 4), (4, 7), (7, 10)]
    assert windows.spans(4, 4, 3) == [(0, 4)]


def test_outputs_of_windows_become_those_of_rows():
    outputs = torch.arange(12.0).view(3, 4, 1)  # three windows of four tokens
    one, other = windows.stitch(outputs, [[(1, 3), (0, 2)], [(3, 4)]])
    assert one.flatten().tolist() == [1, 2, 4, 5]
    assert other.flatten().tolist() == [11]


def test_values_taken_apart_come_together_again():
    row = {"windows": [{"length": 4}, {"length": 4}, {"length": 3}], "own": [(0, 3), (1, 3), (1, 3)]}
    values = numpy.arange(7)
    parts = windows.spread(values, row, -1)
    assert [part.tolist() for part in parts] == [[0, 1, 2, -1], [-1, 3, 4, -1], [-1, 5, 6]]
    padded = torch.tensor([[*part, *[-9] * (4 - len(part))] for part in parts])[..., None]
    assert windows.stitch(padded, [row["own"]])[0].flatten().tolist() == values.tolist()
    assert windows.spread(values, {}, -1)[0] is values


def test_a_batch_holds_the_windows_of_all_rows_one_after_the_other():
    processor = tokenizer("a b c")
    rows = [[[5, 6], [6, 7]], [[7]]]
    features = [
        {"windows": [{"input_ids": ids, "length": len(ids)} for ids in row], "own": [(0, len(ids)) for ids in row]}
        for row in rows
    ]
    batch = tokens.tensors(windows.arrays(features, processor))
    assert batch["input_ids"].tolist() == [[5, 6], [6, 7], [7, 0]]
    assert batch["own"] == [[(0, 2), (0, 2)], [(0, 1)]]
