"""The figures of a step are those worked out by hand."""

import pytest
import torch

from jishi.training import pace
from jishi.training.pace import Pace
from points import loop, rows, run


def test_operations_are_counted():
    """A product of (3, 4) and (4, 5) is 2 · 3 · 4 · 5 operations forward; back, the gradients of both are as many each."""
    layer, x = torch.nn.Linear(4, 5, bias=False), torch.ones(3, 4, requires_grad=True)
    assert pace.counted(lambda: layer(x).sum().backward()) == 3 * 120


def test_the_peak_is_that_of_a_large_product(monkeypatch):
    """One product of 1,024 × 1,024 is 2 · 1,024³ operations; here each takes half a second, the first two."""
    times = iter([0.0, 2.0, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5])
    monkeypatch.setattr(pace.time, "perf_counter", lambda: next(times))
    assert pace.peak(torch.device("cpu"), "fp32") == 2 * 1024**3 / 0.5


def test_a_step_is_told_by_its_clock(monkeypatch):
    """Two seconds, of which a half waited for data; 100 tokens of 30 operations on a machine of 10,000 a second."""
    times = iter([10.0, 10.5, 12.0, 20.0, 20.0, 24.0])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(times))
    clock = Pace(torch.device("cpu"), flops=30.0, peak=10_000.0)
    clock.start()
    clock.fed()
    told = clock.told({"rows": 4, "tokens": 100}, left=6)
    assert told["memory"] > 10**7
    assert {name: value for name, value in told.items() if name != "memory"} == {
        "tokens_per_second": 50.0,
        "samples_per_second": 2.0,
        "data_wait": 0.25,
        "mfu": pytest.approx(0.15),
        "remaining": 12.0,
    }
    clock.start()
    clock.fed()
    assert clock.told({"rows": 4, "tokens": 100}, left=5)["remaining"] == 5 * 3.0  # six seconds for two steps


def test_every_step_tells_its_pace(tmp_path):
    told = [event.values for event in run(loop(tmp_path, rows(8), batch_size=4, epochs=2)) if event.kind == "step"]
    assert all(0 <= values["data_wait"] < 1 and values["mfu"] > 0 for values in told)
    assert told[-1]["remaining"] == 0 < told[0]["remaining"]
