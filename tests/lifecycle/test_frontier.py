"""The way that is chosen, on figures that are given: the best score that keeps to the goal, or one sentence and no bundle."""

import pytest

import jishi
from commands import jsonl
from jishi.compression.int4 import Int4
from jishi.compression.int8 import Int8
from jishi.compression.onnx import Onnx
from jishi.compression.pruning import Pruning
from jishi.core import bundle
from jishi.core.errors import BundleError
from jishi.lifecycle import benchmark, frontier
from jishi.lifecycle.goal import Goal

WORDS = {"good": "喜欢", "bad": "退货"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    rows = [{"text": f"{word} {i}", "label": label} for i in range(30) for label, word in WORDS.items()]
    jishi.finetune(
        data=jsonl(folder / "rows.jsonl", rows), out=folder / "run", model={"name": "text-cnn", "size": "nano"},
        task="text-classification", train={"epochs": 2, "batch_size": 8, "threads": 1},
    )  # fmt: skip
    return folder / "run"


@pytest.fixture
def measured(monkeypatch):
    """Figures in the place of those of processes: milliseconds of the bundle given, then of each that was made."""
    times = [9.0, 6.0, 3.0]

    def figures(paths, rounds):
        assert rounds == 1
        same = {"p99": 9.0, "memory": 2**20, "runtime": "onnxruntime"}
        sizes = [sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) for path in paths]
        return {"bundles": [{"p50": p50, "bytes": size, **same} for p50, size in zip(times, sizes, strict=True)]}

    monkeypatch.setattr(benchmark, "benchmark", figures)


def test_what_learns_goes_before_what_loses():
    named = [[type(way).__name__ for way in chain] for chain in frontier.chains([Int4(), Int8(), Onnx(), Pruning()])]
    assert named == [["Int4"], ["Int8"], ["Onnx"], ["Pruning", "Int4"], ["Pruning", "Int8"]]
    assert frontier.chains([Pruning(), Onnx()]) == [(Onnx(),), (Pruning(),)]
    assert {type(way) for way in frontier._searched()} == {Int4, Int8, Onnx, Pruning}


def test_the_front_is_what_none_is_ahead_of_in_all_three():
    points = [(9, 90, 0.9), (6, 95, 0.9), (3, 30, 0.8), (4, 30, 0.8), (3, 30, 0.8), (5, 40, 0.7)]
    tried = [{"p50": p50, "bytes": size, "score": score} for p50, size, score in points]
    assert frontier.front(tried) == [True, True, True, False, True, False]


def test_a_goal_is_kept_to_where_no_figure_is_above_it():
    figures = {"p50": 4.0, "bytes": 30 * 2**20, "memory": 100 * 2**20}
    assert Goal().excess(figures) == 0 and Goal(latency_ms=4, bytes_mb=60).excess(figures) == 1
    assert Goal(latency_ms=8, memory_mb=50).excess(figures) == 2


def test_of_those_that_keep_to_the_goal_the_best_score_is_taken_then_the_quickest():
    tried = [
        {"method": name, "score": score, "p50": p50, "meets": meets}
        for name, score, p50, meets in (
            ("a", 0.9, 9, False),
            ("b", 0.8, 5, True),
            ("c", 0.8, 4, True),
            ("d", 0.7, 1, True),
        )
    ]
    assert frontier._best(Goal(latency_ms=5), tried)["method"] == "c"


def test_a_way_with_other_options_is_another_way(run, monkeypatch, tmp_path):
    measured = []

    def told(paths, rounds):
        measured.extend(bundle.read(path).record.get("compression") for path in paths)
        return {"bundles": [dict.fromkeys(frontier.FIGURES, 1) for _ in paths]}

    monkeypatch.setattr(benchmark, "benchmark", told)
    ways = [{"name": "int4"}, {"name": "int4", "block": 128}]
    asked = {"data": run / "data", "method": ways, "tolerance": 1.0, "search": {"latency_ms": 4}}
    found = jishi.compress(run / "bundle", out=tmp_path / "small", **asked)["tried"]
    assert [one["method"] for one in found] == ["", "int4", "int4(block=128)"]
    assert measured == [None, [{"name": "int4", "block": 32}], [{"name": "int4", "block": 128}]]


def test_the_bundle_that_keeps_to_the_goal_is_written_or_none(run, measured, tmp_path):
    asked = {"data": run / "data", "method": ["onnx", "int8", "pruning"], "tolerance": 1.0}
    told = jishi.compress(run / "bundle", out=tmp_path / "small", search={"latency_ms": 4, "rounds": 1}, **asked)
    assert told["method"] == "int8" and [one["method"] for one in told["tried"]] == ["", "onnx", "int8"]
    assert [one["meets"] for one in told["tried"]] == [False, False, True]
    assert [one["method"] for one in told["refused"]] == ["pruning+int8"]  # a convolution has no blocks
    assert bundle.read(tmp_path / "small").record["compression"] == [{"name": "int8"}]
    assert jishi.load(tmp_path / "small").replay().flips == 0
    with pytest.raises(BundleError) as caught:
        jishi.compress(run / "bundle", out=tmp_path / "none", search={"latency_ms": 2, "rounds": 1}, **asked)
    assert caught.value.code == "compress.none-meets" and "method=int8" in str(caught.value)
    assert not (tmp_path / "none").exists()
