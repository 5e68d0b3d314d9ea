import pytest

from jishi.core.contracts import Modality
from jishi.core.errors import RowError
from jishi.core.registry import get
from jishi.data.columns import Column
from jishi.data.content import describe

TEXT = [Column("text", get(Modality, "text")()), Column("pair", get(Modality, "text")())]
IMAGE = [Column("image", get(Modality, "image")())]


def test_equal_inputs_have_equal_numbers_and_other_targets_another_whole():
    one, other = (describe({"text": "a", "pair": None, "label": label}, TEXT) for label in "xy")
    assert one.input == other.input
    assert one.whole != other.whole


def test_what_stands_in_which_column_matters():
    one, other = (describe(row, TEXT) for row in ({"text": "ab", "pair": "c"}, {"text": "a", "pair": "bc"}))
    assert one.input != other.input


def test_numbers_are_the_same_on_every_machine():
    # BLAKE2b-64 of "a\0b", by b2sum -l 64.
    assert describe({"text": "a", "pair": "b"}, TEXT).input == int.from_bytes(
        bytes.fromhex("ffc151170352baa3"), "little"
    )


def test_labels_are_found_in_every_shape_of_target():
    spans = [{"start": 0, "end": 1, "label": "PER"}, {"start": 2, "end": 3, "label": "LOC"}]
    assert describe({"text": "a", "label": "x"}, TEXT).labels == ("x",)
    assert describe({"text": "a", "label": ["y", "x", "y"]}, TEXT).labels == ("x", "y")
    assert describe({"text": "a", "spans": spans}, TEXT).labels == ("LOC", "PER")
    assert describe({"text": "a", "label": 2.5}, TEXT).labels == ()


def test_only_a_label_of_its_own_makes_a_class():
    assert describe({"text": "a", "label": "x"}, TEXT).single
    assert not describe({"text": "a", "label": ["x"]}, TEXT).single


def test_the_size_of_a_row_is_in_bytes():
    assert describe({"text": "好", "pair": "ab", "label": "x"}, TEXT).size == 3 + 2 + len('{"label":"x"}')
    assert describe({"image": b"12345", "label": "x"}, IMAGE).size == 5 + len('{"label":"x"}')


def test_a_picture_counts_by_its_bytes(tmp_path):
    (tmp_path / "a.png").write_bytes(b"12345")
    assert describe({"image": str(tmp_path / "a.png")}, IMAGE).input == describe({"image": b"12345"}, IMAGE).input


def test_a_file_that_is_gone_is_a_bad_row(tmp_path):
    with pytest.raises(RowError, match="gone"):
        describe({"image": str(tmp_path / "gone.png")}, IMAGE)
