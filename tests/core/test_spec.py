import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt

from jishi.core import document, registry, spec
from jishi.core.contracts import CONTRACTS, Adaptation, Task, option
from jishi.core.errors import UnknownName, UsageError


@dataclass(frozen=True)
class Inner:
    name: str = option("e5-small", "Name.", "名称。", aliases=("model_name_or_path",))
    rate: Annotated[float, Gt(0)] = option(1.0, "Rate.", "比率。", aliases=("learning_rate",))
    kind: Literal["a", "b"] = option("a", "Kind.", "种类。")


@dataclass(frozen=True)
class Outer:
    out: str = option(en="Out.", zh="输出。")
    inner: Inner = option(factory=Inner, en="Inner.", zh="内部。")
    again: Inner | None = option(None, "Again.", "再次。")
    adapt: Adaptation | None = option(None, "Adaptation.", "适配。")
    task: Task | None = option(None, "Task.", "任务。")
    names: dict[str, str] = option(factory=dict, en="Names.", zh="名称。")
    count: Annotated[int, Ge(1)] | Literal["auto"] = option("auto", "Count.", "数量。")
    shares: tuple[float, ...] = option((0.5, 0.5), "Shares.", "比例。")


def made(text: str) -> Outer:
    return spec.build(Outer, document.parse(text, "spec.yaml"))


def test_a_document_becomes_frozen_dataclasses_with_defaults_filled():
    assert made("out: runs/a\ninner: {rate: 2}") == Outer("runs/a", Inner(rate=2.0))


def test_a_bare_string_fills_the_first_field():
    assert made("out: a\ninner: minilm").inner == Inner(name="minilm")


def test_the_names_other_tools_use_are_accepted():
    assert made("out: a\ninner: {model_name_or_path: x, learning_rate: 3e-5}").inner == Inner("x", 3e-5)


def test_an_optional_spec_may_be_null_or_given():
    assert made("out: a\nagain: null").again is None
    assert made("out: a\nagain: {kind: b}").again == Inner(kind="b")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("out: a\niner: {}", r'spec.yaml:2: unknown key "iner". Did you mean "inner"\? Allowed: out, inner, again'),
        ("out: a\ninner:\n  rat: 1", r'spec.yaml:3: unknown key "inner.rat". Did you mean "rate"\?'),
        ("out: a\ninner:\n  rate: 0", r"spec.yaml:3: inner.rate = 0 is not valid: Input should be greater than 0"),
        ("out: a\ninner: {kind: c}", r"spec.yaml:2: inner.kind = 'c' is not valid"),
        (
            "out: a\ncount: 0",
            r"spec.yaml:2: count = 0 is not valid: .* greater than or equal to 1; Input should be 'auto'",
        ),
        ("out: a\ninner: {rate: fast}", r"spec.yaml:2: inner.rate = 'fast' is not valid"),
        ("inner: {}", r"spec.yaml: out is required; give it in the spec or as out=… on the command line"),
        ("out: a\ntask: {problem: single}", r"spec.yaml:2: task.name is required"),
        ("out: [a]", r"spec.yaml:1: out = \['a'\] is not valid"),
    ],
)
def test_a_fault_is_named_with_its_line_and_cure(text, sentence):
    with pytest.raises(UsageError, match=sentence):
        made(text)


def test_a_plugin_is_named_bare_or_with_its_keys():
    assert registry.name_of(made("out: a\nadapt: full").adapt) == "full"
    assert made("out: a\ntask: {name: text-classification, max_length: 64}").task.max_length == 64


def test_an_unknown_plugin_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match='Did you mean "text-classification"'):
        made("out: a\ntask: text-clasification")


def test_a_plugin_of_another_contract_is_no_answer():
    with pytest.raises(UnknownName):
        made("out: a\nadapt: text-classification")


def test_a_built_value_passes_through():
    plugin = registry.get(Adaptation, "full")()
    assert (
        spec.build(Outer, document.Document({"out": "a", "adapt": plugin, "inner": Inner("x")}, "spec")).adapt is plugin
    )


def test_what_is_dumped_builds_an_equal_spec():
    wanted = made(
        "out: a\ninner: {rate: 2}\ntask: text-classification\nadapt: full\nnames: {text: review}\nshares: [0.9, 0.1]"
    )
    plain = spec.dump(wanted)
    assert spec.build(Outer, document.Document(plain, "again")) == wanted
    assert spec.build(Outer, document.Document(json.loads(json.dumps(plain)), "json")) == wanted


@pytest.mark.parametrize(
    ("contract", "name"), [(contract, name) for contract in CONTRACTS for name in registry.names(contract)]
)
def test_every_plugin_survives_the_round_trip(contract, name):
    cls = registry.get(contract, name)
    try:
        plugin = spec.plugin(contract, document.Document({"name": name}, "spec"))
    except UsageError as error:  # an objective that holds another one has no default
        pytest.skip(str(error))
    assert type(plugin) is cls
    plain = json.loads(json.dumps(spec.dump(plugin)))
    assert plain["name"] == name
    assert spec.plugin(contract, document.Document(plain, "again")) == plugin


def test_overrides_are_laid_over_left_to_right():
    start = document.parse("out: a\ninner: {rate: 2}", "spec.yaml")
    over = spec.override(start, ["inner.rate=3e-5", "inner.kind=b", "out=b", "out=c", "names={text: review}"])
    assert spec.build(Outer, over) == Outer("c", Inner(rate=3e-5, kind="b"), names={"text": "review"})
    assert start.value == {"out": "a", "inner": {"rate": 2}}


def test_an_override_below_a_bare_name_keeps_the_name():
    over = spec.override(document.parse("out: a\ninner: minilm", "x"), ["inner.rate=2"])
    assert spec.build(Outer, over).inner == Inner("minilm", 2.0)
    over = spec.override(document.parse("out: a", "x"), ["task=text-classification", "task.max_length=8"])
    assert spec.build(Outer, over).task.max_length == 8


@pytest.mark.parametrize("given", ["epochs", "=3", "a..b=3", ".a=3"])
def test_what_is_no_override_is_refused_with_an_example(given):
    with pytest.raises(UsageError, match="write key=value, for example"):
        spec.override(document.parse("out: a", "x"), [given])


def test_a_misspelt_override_is_refused_too():
    with pytest.raises(UsageError, match='unknown key "inner.rte". Did you mean "rate"'):
        spec.build(Outer, spec.override(document.parse("out: a", "x"), ["inner.rte=2"]))


def test_keywords_are_merged_key_by_key():
    start = document.parse("out: a\ninner: {rate: 2, kind: b}", "x")
    merged = spec.merge(start, {"inner": {"rate": 3}, "out": Path("runs") / "b"})
    assert spec.build(Outer, merged) == Outer("runs/b", Inner(rate=3.0, kind="b"))


def test_the_schema_says_what_is_allowed():
    schema = spec.schema(Outer)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["required"] == ["out"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["inner"]["properties"]["rate"] == {
        "type": "number", "exclusiveMinimum": 0, "description": "Rate.", "default": 1.0,
    }  # fmt: skip
    named = [kind["properties"]["name"]["const"] for kind in schema["properties"]["adapt"]["anyOf"][0]["anyOf"][:-1]]
    assert named == registry.names(Adaptation)
    json.dumps(schema)
