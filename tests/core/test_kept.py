import pytest

from jishi.core.kept import Kept, keep

VALUES = [{"label": "好", "score": index / 7, "scores": {"a": 0.1}} for index in range(20)]


def test_few_values_are_held_and_many_read_back_as_they_were():
    assert keep(iter(VALUES), memory=20) == VALUES
    kept = keep(iter(VALUES), memory=19)
    assert isinstance(kept, Kept)
    assert len(kept) == 20
    assert list(kept) == VALUES
    assert (kept[3], kept[-1], kept[4:6]) == (VALUES[3], VALUES[-1], VALUES[4:6])
    with pytest.raises(IndexError):
        kept[20]


def test_values_looked_at_in_the_midst_of_all_disturb_nothing():
    kept = keep(iter(VALUES), memory=0)
    assert [(value, kept[0])[0] for value in kept] == VALUES
