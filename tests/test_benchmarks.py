"""The benchmarks, which the suite does not run, ask Jishi for nothing it no longer has."""

import ast
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = sorted(FOLDER.rglob("*.py"))


def taken(source):
    """(module, name) of everything a script takes from Jishi, in functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "jishi":
            yield from ((node.module, alias.name) for alias in node.names)


def lacking(source):
    """Those that are not there."""
    for module, name in taken(source):
        try:
            found = hasattr(importlib.import_module(module), name) or importlib.import_module(f"{module}.{name}")
        except ModuleNotFoundError:
            found = False
        if not found:
            yield f"{module}.{name}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_all_that_a_benchmark_takes_from_jishi_is_there(script):
    assert list(lacking(script.read_text(encoding="utf-8"))) == []


def test_what_is_gone_is_noticed():
    source = "def later():\n    from jishi.core import registry, nothing\n    from jishi.gone import name\n"
    assert list(lacking(source)) == ["jishi.core.nothing", "jishi.gone.name"]
