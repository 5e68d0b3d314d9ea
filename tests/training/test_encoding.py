import numpy as np
import pytest

from jishi.core.errors import RowError
from jishi.models import fast_tokenizer
from jishi.training import encoding
from jishi.training.encoding import same
from points import Points


class Numbered(Points):
    """Features by the row's place; some processors are wrong or slow, some rows refused."""

    def encode(self, row, processor):
        if row["id"] in (processor or {}).get("refused", ()):
            raise RowError("tasks.spans-missing", given=row["id"])
        for _ in range((processor or {}).get("turns", 1)):
            ids = np.full(3, row["id"] + (processor or {}).get("off", 0))
        return {"ids": ids, "length": 3}


ROWS = [{"id": number} for number in range(1200)]


def test_processes_give_the_same_features_in_order():
    one = [Numbered().encode(row, None) for row in ROWS]
    apart = list(encoding._apart(Numbered(), ROWS, None, 2))
    assert len(apart) == len(ROWS) and all(map(same, one, apart))


def test_a_row_refused_by_a_process_says_what_it_says_in_one():
    with pytest.raises(RowError) as found:
        list(encoding._apart(Numbered(), ROWS, {"refused": (700, 900)}, 2))
    assert found.value.values == {"given": 700}


def test_processes_are_for_many_rows_and_free_cores(monkeypatch):
    asked = []
    monkeypatch.setattr(encoding, "_apart", lambda *given: asked.append(given[-1]) or iter(()))
    for cores, seconds in ((2, 11.0), (1, 11.0), (2, 9.0)):
        monkeypatch.setattr(encoding, "free_cores", lambda: cores)  # noqa: B023
        list(encoding.encode(Numbered(), ROWS, None, seconds))
    assert asked == [2]


@pytest.mark.parametrize(
    ("other", "chosen"), [({"turns": 1}, True), ({"turns": 1, "off": 1}, False), ({"turns": 3000}, False)]
)
def test_another_encoder_is_taken_only_where_it_is_faster_and_says_the_same(monkeypatch, other, chosen):
    monkeypatch.setattr(fast_tokenizer, "faster", lambda processor: other)
    found = encoding._faster(Numbered(), ROWS, {"turns": 1500})
    assert (found is other) is chosen


def test_the_time_of_all_rows_follows_from_a_few(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(encoding.time, "perf_counter", lambda: next(clock))
    assert encoding.seconds(Numbered(), ROWS, None) == len(ROWS) / encoding.SAMPLE
    assert encoding.seconds(Numbered(), ROWS[:300], None) == 0


def test_features_differ_by_value_type_and_name():
    one = {"ids": np.arange(3), "length": 3}
    assert same(one, {"ids": np.arange(3), "length": 3})
    for other in (
        {"ids": np.arange(3), "length": 3.0}, {"ids": np.arange(3, dtype=np.int32), "length": 3}, {"ids": np.arange(3)},
        {"ids": np.arange(1, 4), "length": 3}, {"ids": [0, 1, 2], "length": 3},
    ):  # fmt: skip
        assert not same(one, other)
