"""The house keeps its rules, and every rule would notice if it did not."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

import house
from jishi.core import registry
from jishi.core.contracts import CONTRACTS

ROOT = Path(__file__).parent.parent
PLUGIN = """
from dataclasses import dataclass
from jishi.core.contracts import Adaptation, option

@dataclass(frozen=True)
class Method(Adaptation):
    \"\"\"A method.\"\"\"
    rank: int = option(8, "Rank.", "秩。")
"""
WRITER = """
from jishi.core.errors import DataError

def write(path):
    raise DataError("disk.full", path=path)
"""
PROJECT = "[project.optional-dependencies]\nserve = []\n"
SENTENCES = '{"full": {"en": "{path} is full.", "zh": "{path} 已满。"}}'
SOUND = {
    "pyproject.toml": PROJECT,
    "src/jishi/__init__.py": '"""The package."""',
    "src/jishi/core/contracts.py": "def option(): ...",
    "src/jishi/core/messages/disk.json": SENTENCES,
    "src/jishi/data/disk.py": WRITER,
    "src/jishi/adaptation/__init__.py": '"""Ways to adapt."""',
    "src/jishi/adaptation/lora.py": PLUGIN,
    "docs/en/data.md": "# Data",
    "docs/zh/data.md": "# 数据",
}
# rule → trees (path → content, laid over the sound one), each with one fault that the rule must find.
PLANTED: list[tuple[str, dict[str, str]]] = [
    ("imports_point_down", {"src/jishi/core/a.py": "from jishi.data import disk"}),
    ("imports_point_down", {"src/jishi/core/a.py": "def late():\n    from ..lifecycle import finetune"}),
    ("imports_point_down", {"src/jishi/metrics/a.py": "import jishi.models.load"}),
    ("imports_point_down", {"src/jishi/tasks/a.py": "from jishi import adaptation"}),
    ("imports_point_down", {"src/jishi/cellar/a.py": ""}),
    ("no_cycles", {"src/jishi/data/a.py": "from jishi.data import b", "src/jishi/data/b.py": "from jishi.data.a import x"}),
    ("core_is_light", {"src/jishi/core/a.py": "import torch"}),
    ("core_is_light", {"src/jishi/api.py": "try:\n    from transformers import AutoModel\nfinally:\n    pass"}),
    ("extras_can_be_installed", {"src/jishi/data/a.py": "raise MissingExtra('fastapi', 'server')"}),
    ("no_plugin_names", {"src/jishi/data/a.py": "def f(name):\n    return name == 'lora'"}),
    ("no_plugin_names", {"src/jishi/data/a.py": "def f(name):\n    return name in ('lora', 'other')"}),
    ("no_plugin_names", {"src/jishi/data/a.py": "def f(name):\n    match name:\n        case 'lora':\n            return 1"}),
    ("no_plugin_names", {"src/jishi/data/a.py": "TABLE = {'lora': 1}"}),
    ("plugins_are_values", {"src/jishi/adaptation/lora.py": PLUGIN.replace("(frozen=True)", "")}),
    ("plugins_are_values", {"src/jishi/adaptation/lora.py": PLUGIN.replace(', "秩。"', "")}),
    ("plugins_are_values", {"src/jishi/adaptation/lora.py": PLUGIN.replace('option(8, "Rank.", "秩。")', "8")}),
    ("plugins_are_values", {"src/jishi/adaptation/lora.py": PLUGIN + "    def __init__(self): ...\n"}),
    ("plugins_are_values", {"src/jishi/adaptation/lora.py": PLUGIN.replace('"""A method."""', "")}),
    ("plugins_are_values", {"src/jishi/adaptation/lora.py": "RANK = 8"}),
    ("registries_are_folders", {"src/jishi/adaptation/__init__.py": '"""Ways."""\nfrom . import lora'}),
    ("files_stay_small", {"src/jishi/data/a.py": "x = 1\n" * 401}),
    ("files_stay_small", {"src/jishi/data/a.py": "def long():\n" + "    x = 1\n" * 60}),
    ("names_say_something", {"src/jishi/data/text_utils.py": ""}),
    ("names_say_something", {"src/jishi/common/a.py": ""}),
    ("nothing_is_unfinished", {"src/jishi/data/a.py": "x = 1  # TO" "DO later"}),
    ("nothing_is_unfinished", {"src/jishi/data/a.py": "def f():\n    raise NotImplementedError"}),
    ("nothing_is_unfinished", {"src/jishi/data/a.py": "try:\n    x = 1\nexcept Exception:\n    pass"}),
    ("no_code_from_data", {"src/jishi/data/a.py": "import pickle"}),
    ("no_code_from_data", {"src/jishi/data/a.py": "from torch import load"}),
    ("no_code_from_data", {"src/jishi/data/a.py": "import torch\ntorch.load('x')"}),
    ("no_code_from_data", {"src/jishi/data/a.py": "import yaml\nyaml.load('x', yaml.Loader)"}),
    ("no_code_from_data", {"src/jishi/data/a.py": "eval('1')"}),
    ("no_code_from_data", {"src/jishi/data/a.py": "def f(g):\n    return g(trust_remote_code=True)"}),
    ("no_machine_paths", {"docs/en/data.md": "see /" "home/me/data"}),
    ("no_machine_paths", {"pyproject.toml": PROJECT + "path = '/" "root/x'"}),
    ("catalogue_is_bilingual", {"src/jishi/core/messages/disk.json": SENTENCES.replace('"zh": "{path} 已满。"', '"zh": ""')}),
    ("catalogue_is_bilingual", {"src/jishi/core/messages/disk.json": SENTENCES.replace("{path} 已满", "{file} 已满")}),
    ("catalogue_is_bilingual", {"src/jishi/core/messages/disk.json": SENTENCES.replace("已满。", "is full.")}),
    ("catalogue_is_complete", {"src/jishi/core/messages/disk.json": SENTENCES.replace('"full"', '"empty"')}),
    ("catalogue_is_complete", {"src/jishi/data/disk.py": "x = 1"}),
    ("docs_have_twins", {"docs/zh/data.md": "", "docs/en/more.md": "# More"}),
]  # fmt: skip


@pytest.mark.parametrize("rule", house.RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule):
    assert rule(ROOT) == []


@pytest.mark.parametrize("rule", house.RULES, ids=lambda rule: rule.__name__)
def test_a_sound_house_has_no_fault(rule, tmp_path):
    assert rule(_built(tmp_path, {})) == []


@pytest.mark.parametrize(("rule", "change"), PLANTED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_planted_fault_is_found(rule, change, tmp_path):
    assert len(getattr(house, rule)(_built(tmp_path, change))) >= 1


def test_every_rule_has_a_planted_fault():
    assert {rule.__name__ for rule in house.RULES} == {rule for rule, _ in PLANTED}


def test_a_column_may_be_a_key_though_a_plugin_is_named_so(tmp_path):
    root = _built(tmp_path, {
        "src/jishi/modalities/text.py": PLUGIN.replace("Adaptation", "Modality"),
        "src/jishi/tasks/tagging.py": PLUGIN.replace("Adaptation", "Task") + '    columns = {"text": "text"}\n',
        "src/jishi/data/a.py": "ROW = {'text': 'a'}",
    })  # fmt: skip
    assert house.no_plugin_names(root) == []


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_every_plugin_found_is_a_frozen_dataclass_of_its_contract(contract):
    for name in registry.names(contract):
        plugin = registry.get(contract, name)
        assert issubclass(plugin, contract)
        assert plugin.__dataclass_params__.frozen
        assert registry.name_of(plugin) == name
        assert all(field.metadata["en"] and field.metadata["zh"] for field in dataclasses.fields(plugin))


@pytest.mark.parametrize(
    "command", ["import jishi", "import sys, jishi.cli; sys.argv = ['jishi', '--help']; jishi.cli.main()"]
)
def test_a_first_look_loads_no_heavy_library(command):
    spy = (
        "import atexit, os, sys\n"
        "heavy = ('torch', 'transformers', 'sklearn', 'datasets', 'numpy', 'fastapi')\n"
        "atexit.register(lambda: os._exit(7) if set(heavy) & set(sys.modules) else None)\n"
    )
    done = subprocess.run([sys.executable, "-c", spy + command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def _built(root: Path, change: dict[str, str]) -> Path:
    for name, content in {**SOUND, **change}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return root
