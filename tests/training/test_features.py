import numpy as np
import pytest

from jishi.training import features
from jishi.training.features import Encoded
from points import Points


class Counting(Points):
    """Counts how often each row is encoded."""

    seen: list[int] = []

    def encode(self, row, processor):
        self.seen.append(row["id"])
        return {"ids": np.full(100, row["id"]), "length": row["length"], **row.get("more", {})}


def rows(*lengths, **more):
    return [{"id": index, "length": length, "more": more} for index, length in enumerate(lengths)]


@pytest.fixture(autouse=True)
def fresh():
    Counting.seen.clear()


def test_rows_are_encoded_once_while_they_fit():
    found = Encoded(Counting(), rows(3, 5), None)
    assert found.lengths == [3, 5] and len(found) == 2
    assert [found[1]["ids"][0], found[0]["ids"][0], found[1]["ids"][0]] == [1, 0, 1]
    assert Counting.seen == [0, 1]


def test_rows_beyond_the_memory_set_aside_are_encoded_on_demand(monkeypatch):
    monkeypatch.setattr(features, "CACHE_BYTES", 1000)  # a row takes 800 and a little
    found = Encoded(Counting(), rows(3, 5, 7), None)
    assert found.lengths == [3, 5, 7]
    assert [feature["ids"][0] for feature in found[:]] == [0, 1, 2]
    assert Counting.seen == [0, 1, 2, 1, 2]


def test_unknown_share_weighs_rows_by_their_tokens():
    given = [{"id": 0, "length": 10, "more": {"unknown": 0.5}}, {"id": 1, "length": 30, "more": {"unknown": 0.1}}]
    assert Encoded(Counting(), given, None).unknown == pytest.approx((5 + 3) / 40)


def test_truncated_share_counts_rows():
    given = [*rows(1, 1, 1), {"id": 3, "length": 1, "more": {"truncated": True}}]
    assert Encoded(Counting(), given, None).truncated == 0.25


def test_no_rows_have_no_share():
    found = Encoded(Counting(), [], None)
    assert (len(found), found.unknown, found.truncated) == (0, 0.0, 0.0)
