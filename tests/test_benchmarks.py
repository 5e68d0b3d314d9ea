"""The benchmarks, which the suite does not run, ask Jishi for nothing it no longer has."""

import ast
import importlib
import runpy
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


def test_a_poem_is_right_where_every_couplet_is_and_there_are_as_many_as_the_form_has():
    script = runpy.run_path(str(FOLDER / "language_model.py"))
    good, short, odd = "春江一夜雨，小岸几人家。", "春江一夜，小岸几人家。", "春江一夜雨小岸几人家"
    assert list(script["judged"]("五言绝句：春雨", f"{good}\n{short}\n{odd}")) == [True, False, False]
    assert script["is_right"]("五言绝句：春雨", f"{good}\n{good}")
    assert not any(
        script["is_right"]("五言绝句：春雨", poem) for poem in (good, f"{good}\n{short}", f"{good}\n{good}\n{good}", "")
    )
    assert not script["is_right"]("七言绝句：春雨", f"{good}\n{good}")


def test_what_is_gone_is_noticed():
    source = "def later():\n    from jishi.core import registry, nothing\n    from jishi.gone import name\n"
    assert list(lacking(source)) == ["jishi.core.nothing", "jishi.gone.name"]
