from importlib.metadata import PackageNotFoundError

import pytest

from jishi.core.errors import ModelError
from jishi.lifecycle import doctor
from jishi.models import environment


@pytest.fixture(autouse=True)
def well(monkeypatch):
    """A machine on which nothing is wrong."""
    monkeypatch.setattr(environment, "problems", list)
    monkeypatch.setattr(environment, "busy", lambda: None)
    monkeypatch.setattr(environment, "precision", lambda: "bf16")


def levels():
    return [finding["level"] for finding in doctor.findings()]


def test_a_healthy_machine_has_neither_warnings_nor_errors():
    assert set(levels()) == {"info"}


def test_versions_and_precision_are_told():
    told = {finding["code"]: finding["message"] for finding in doctor.findings()}
    assert "torch 2" in told["cli.versions"] and "bf16" in told["cli.precision"]


def test_every_problem_is_an_error_with_its_cure(monkeypatch):
    problem = ModelError("models.library-old", library="torch", given="1.0", allowed="2.8")
    monkeypatch.setattr(environment, "problems", lambda: [problem])
    errors = [finding for finding in doctor.findings() if finding["level"] == "error"]
    assert errors == [{"level": "error", "code": "models.library-old", "message": str(problem)}]


def test_cores_taken_by_other_work_are_a_warning(monkeypatch):
    monkeypatch.setattr(environment, "busy", lambda: ModelError("models.no-free-cores", given=2, load=9.0))
    assert levels().count("warning") == 1 and "error" not in levels()


def test_an_extra_not_installed_is_named_with_what_it_lacks(monkeypatch):
    declared = [
        "numpy>=2",
        'fastapi>=0.115; extra == "serve"',
        "absent-one==1; extra == 'demo'",
        "absent-two>=1; extra == 'demo'",
    ]
    present = {"fastapi": "1", "numpy": "2"}

    def version(name):
        if name not in present:
            raise PackageNotFoundError(name)
        return present[name]

    monkeypatch.setattr(doctor, "requires", lambda _: declared)
    monkeypatch.setattr(doctor, "version", version)
    missing = [finding["message"] for finding in doctor.findings() if finding["code"] == "cli.extra-missing"]
    assert len(missing) == 1
    assert all(word in missing[0] for word in ("absent-one, absent-two", 'pip install "jishi[demo]"'))
