"""Going on with a base on other texts: what it knew is mixed in, and forgetting is measured."""

import json

import pytest

import jishi
from jishi.core.errors import DataError
from jishi.lifecycle.replay import Mixed

TINY = {"model": {"name": "transformer-encoder", "size": "nano", "dropout": 0.0}, "seed": 0}
TRAIN = {"precision": "fp32", "threads": 1, "batch_size": 16, "learning_rate": 3e-3, "epochs": 4}


def texts(file, pairs):
    rows = [
        {"text": f"{who} {does} and {who} {does} {number % 9}"} for who, does in pairs.items() for number in range(60)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.mark.parametrize(
    ("rows", "others", "share", "places"),
    [
        (9, 10, 0.1, [0]),
        (8, 10, 0.2, [0, 5]),
        (5, 10, 0.5, [0, 2, 4, 6, 8]),
        (9, 4, 0.9, [0, 1, 2, 3]),  # all there are
        (9, 4, 0.0, []),
        (9, 0, 0.5, []),
    ],
)
def test_others_are_the_share_asked_for_at_even_distances(rows, others, share, places):
    own, known = [{"text": f"own {place}"} for place in range(rows)], [{"text": str(place)} for place in range(others)]
    mixed = Mixed(own, known, share)
    assert [row["text"] for row in mixed] == [row["text"] for row in own] + [str(place) for place in places]
    assert mixed[-1] == (known[places[-1]] if places else own[-1]) and mixed[:2] == own[:2]
    assert len(mixed) == rows + len(places)


def test_what_a_base_knew_is_forgotten_less_where_it_is_mixed_in(tmp_path):
    old = texts(tmp_path / "old.jsonl", {"cats": "purr", "dogs": "bark", "cows": "moo", "ducks": "quack"})
    new = texts(tmp_path / "new.jsonl", {"cats": "bark", "dogs": "moo", "cows": "quack", "ducks": "purr"})
    base = jishi.pretrain(data=old, out=str(tmp_path / "old"), train={**TRAIN, "epochs": 12}, **TINY).base

    def gone_on(share):
        run = jishi.pretrain(
            data=new, out=str(tmp_path / f"new-{share}"), model=str(base), train={**TRAIN, "epochs": 8}, seed=0,
            replay={"data": {"train": old}, "share": share},
        )  # fmt: skip
        assert run.record["loss"]["trained"] < run.record["loss"]["untrained"]
        return run.record["replayed"]

    without, mixed = gone_on(0.0), gone_on(0.5)
    assert without["rows"] == 0 and mixed["rows"] > 150
    assert without["loss"]["untrained"] == mixed["loss"]["untrained"] < without["loss"]["trained"]
    assert mixed["loss"]["trained"] < without["loss"]["trained"] - 0.1


def test_replayed_rows_of_which_none_is_held_out_can_not_be_judged(tmp_path):
    file = texts(tmp_path / "rows.jsonl", {"cats": "purr"})
    with pytest.raises(DataError, match="no row to judge"):
        jishi.pretrain(
            data=file, out=str(tmp_path / "run"), train=TRAIN, replay={"data": {"train": file, "split": (1, 0, 0)}},
            **TINY,
        )  # fmt: skip
