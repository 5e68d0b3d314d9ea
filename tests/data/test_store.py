import numpy
import pyarrow
import pytest

from jishi.core.errors import DataError
from jishi.data import store


def deal(folder, batches, owners, monkeypatch):
    monkeypatch.setattr(store, "BATCH_ROWS", 2)
    spool = store.Spool(folder / "spool")
    for row in batches:
        spool.add(row, 10)
    files = {0: folder / "train.arrow", 2: folder / "test.arrow"}
    spool.deal(files, numpy.array(owners))
    return {part: table.to_pylist() for part, table in store.tables(folder).items()}


def test_a_column_that_is_empty_at_first_takes_the_type_it_has_later(tmp_path, monkeypatch):
    rows = [{"a": None, "b": []}, {"a": None, "b": []}, {"a": "x", "b": [{"s": 1}]}]
    assert deal(tmp_path, rows, [0, 2, 0], monkeypatch) == {"train": [rows[0], rows[2]], "test": [rows[1]]}


def test_whole_numbers_among_fractions_are_fractions(tmp_path, monkeypatch):
    found = deal(tmp_path, [{"n": 1}, {"n": 2}, {"n": 2.5}], [0, 0, 0], monkeypatch)
    assert found["train"] == [{"n": 1.0}, {"n": 2.0}, {"n": 2.5}]


def test_rows_are_picked_across_batches(tmp_path, monkeypatch):
    deal(tmp_path, [{"n": n} for n in range(9)], [0] * 9, monkeypatch)
    picked = store.pick(store.tables(tmp_path)["train"], numpy.array([0, 3, 4, 8]))
    assert picked.column("n").to_pylist() == [0, 3, 4, 8]


def test_rows_of_no_part_are_left_out_and_the_order_is_kept(tmp_path, monkeypatch):
    rows = [{"n": n} for n in range(9)]
    found = deal(tmp_path, rows, [0, 2, -1, 0, 2, -1, 0, 2, -1], monkeypatch)
    assert found == {"train": [{"n": 0}, {"n": 3}, {"n": 6}], "test": [{"n": 1}, {"n": 4}, {"n": 7}]}


@pytest.mark.parametrize("rows", [[{"a": "x"}, {"a": ["x"]}], [{"a": "x"}, {"a": "y"}, {"a": ["x"]}]])
def test_a_column_of_two_types_is_refused(tmp_path, monkeypatch, rows):
    with pytest.raises(DataError, match="different types"):
        deal(tmp_path, rows, [0] * len(rows), monkeypatch)


def test_the_schema_is_the_same_in_every_part(tmp_path, monkeypatch):
    deal(tmp_path, [{"a": None}, {"a": None}, {"a": "x"}], [0, 0, 2], monkeypatch)
    assert {table.schema.field("a").type for table in store.tables(tmp_path).values()} == {pyarrow.string()}
