import sys
from pathlib import Path

import pytest
import torch

from jishi.models import environment


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))


def test_a_library_that_breaks_on_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (found,) = environment.problems()
    assert found.code == "models.library-broken"
    assert "torchvision::nms" in str(found)
    assert "pip uninstall torchvision" in str(found)
    assert "torchvision" not in sys.modules


def test_a_library_that_hangs_on_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchaudio.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(environment, "IMPORT_SECONDS", 0.5)
    (found,) = environment.problems()
    assert "torchaudio" in str(found)


def test_a_library_that_works_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert environment.problems() == []


def test_old_and_absent_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "NEEDED", {"torch": (99, 0), "a-library-nobody-wrote": (1, 0)})
    assert [found.code for found in environment.problems()] == ["models.library-old", "models.library-missing"]


def test_a_full_disk_and_busy_cores_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "FREE_GB", 1e9)
    monkeypatch.setattr("os.getloadavg", lambda: (1e6, 0.0, 0.0))
    assert [found.code for found in environment.problems()] == ["models.disk-full"]
    busy = environment.busy()
    assert busy is not None and busy.code == "models.no-free-cores"


@pytest.mark.parametrize(("fp32", "bf16", "chosen"), [(1.0, 0.5, "bf16"), (1.0, 0.9, "fp32"), (1.0, 3.0, "fp32")])
def test_bf16_is_taken_where_it_is_clearly_faster(
    fp32: float, bf16: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(environment, "seconds", {torch.float32: fp32, torch.bfloat16: bf16}.get)
    environment.precision.cache_clear()
    assert environment.precision() == chosen
    environment.precision.cache_clear()


def test_the_measure_is_a_time() -> None:
    assert 0 < environment.seconds(torch.float32) < 1
