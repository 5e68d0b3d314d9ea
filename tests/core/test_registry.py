import sys
import types
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from jishi.core import registry
from jishi.core.contracts import Adaptation, Modality, Objective, Task
from jishi.core.errors import JishiError, UnknownName


@pytest.fixture(autouse=True)
def fresh():
    registry._found.cache_clear()
    yield
    registry._found.cache_clear()


def test_a_file_of_the_folder_is_a_plugin_and_private_ones_are_none():
    found = registry.names(Modality)
    assert "text" in found
    assert not [name for name in found if name.startswith(("_", "-"))]


def test_underscores_and_hyphens_name_the_same_plugin():
    assert registry.get(Task, "text_classification") is registry.get(Task, "text-classification")


def test_a_task_is_found_as_an_objective_too():
    assert registry.get(Objective, "text-classification") is registry.get(Task, "text-classification")
    assert set(registry.names(Task)) <= set(registry.names(Objective))


def test_a_name_leads_to_a_class_and_back():
    assert registry.name_of(registry.get(Adaptation, "full")) == "full"
    assert registry.name_of(registry.get(Adaptation, "full")()) == "full"


def test_a_misspelt_plugin_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match='Did you mean "full"'):
        registry.get(Adaptation, "ful")


def test_what_is_no_plugin_has_no_name():
    with pytest.raises(KeyError):
        registry.name_of(3)


def test_listing_names_imports_no_plugin(monkeypatch):
    for module in [name for name in sys.modules if name.startswith("jishi.adaptation.")]:
        monkeypatch.delitem(sys.modules, module)
    registry.names(Adaptation)
    assert not [name for name in sys.modules if name.startswith("jishi.adaptation.")]


def test_a_third_party_adds_a_plugin_by_an_entry_point(third_party):
    third_party("outside", "third_party_adaptation:Outside")
    assert "outside" in registry.names(Adaptation)
    assert registry.name_of(registry.get(Adaptation, "outside")()) == "outside"


def test_a_third_party_never_replaces_one_of_ours(third_party):
    third_party("full", "third_party_adaptation:Outside")
    assert registry.get(Adaptation, "full").__module__ == "jishi.adaptation.full"


def test_a_plugin_that_cannot_be_loaded_is_named(third_party):
    third_party("broken", "no_such_module:Thing")
    with pytest.raises(JishiError, match='adaptation "broken" can\'t be loaded: No module named'):
        registry.get(Adaptation, "broken")


@pytest.fixture
def third_party(monkeypatch):
    @dataclass(frozen=True)
    class Outside(Adaptation):
        def apply(self, model, objective):
            return model

    module = types.ModuleType("third_party_adaptation")
    Outside.__module__ = module.__name__
    module.Outside = Outside
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def install(name: str, value: str) -> None:
        point = EntryPoint(name, value, "jishi.adaptation")
        monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])

    return install
