import pytest

from jishi.core import spec
from jishi.core.document import parse
from jishi.core.errors import UsageError
from jishi.data.spec import DataSpec


def build(text: str) -> DataSpec:
    return spec.build(DataSpec, parse(text, "spec.yaml"))


def test_the_defaults_split_eight_one_one_and_stop_at_a_bad_row():
    found = build("train: a.csv")
    assert (found.split, found.on_bad_row, found.max_row_bytes, found.stratify) == (
        (0.8, 0.1, 0.1),
        "stop",
        2**20,
        True,
    )


def test_a_spec_comes_back_from_plain_data():
    found = build("{train: a.csv, dev: b.csv, split: [0.7, 0.2, 0.1], columns: {text: review}, train_rows: 32}")
    assert found.validation == "b.csv"
    assert (
        spec.build(
            DataSpec, parse(str(spec.dump(found)).replace("None", "null").replace("(", "[").replace(")", "]"), "x")
        )
        == found
    )


@pytest.mark.parametrize(
    "line",
    [
        "split: [0.8, 0.1, 0.2]",
        "split: [0, 0.5, 0.5]",
        "split: [1.2, -0.1, -0.1]",
        "split: [0.5, 0.5]",
        "train_rows: 0",
        "max_rows: -1",
        "max_row_bytes: 10",
        "on_bad_row: ignore",
        "encoding: utf-16",
        "seed: -1",
    ],
)
def test_values_out_of_range_are_refused_with_their_line(line):
    with pytest.raises(UsageError, match="spec.yaml:2"):
        build(f"train: a.csv\n{line}")


def test_the_schema_can_be_made():
    assert spec.schema(DataSpec)["required"] == ["train"]
