import pyarrow
import pytest

from jishi.data.part import Part

ROWS = [{"text": f"row {index}", "label": "ab"[index % 2]} for index in range(7)]


def part(*sizes: int) -> Part:
    """The rows in batches of these sizes."""
    table = pyarrow.Table.from_pylist(ROWS)
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    batches = [table.slice(start, size).combine_chunks() for start, size in zip(starts, sizes, strict=True)]
    return Part(pyarrow.concat_tables(batches))


@pytest.mark.parametrize("sizes", [(7,), (3, 4), (1, 2, 3, 1)])
def test_rows_are_found_one_by_one_and_in_turn(sizes):
    rows = part(*sizes)
    assert len(rows) == 7
    assert list(rows) == ROWS
    assert [rows[index] for index in range(7)] == ROWS
    assert (rows[-1], rows[2:5]) == (ROWS[-1], ROWS[2:5])
    with pytest.raises(IndexError):
        rows[7]


def test_a_part_may_be_empty():
    assert list(Part(pyarrow.table({"text": []}))) == []
