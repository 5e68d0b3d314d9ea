import json

import pytest

from jishi.core import document
from jishi.core.errors import LimitError, UsageError


def test_every_key_knows_its_line(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text("model: e5-small\ntrain:\n  epochs: 2\n  batch_size: 8\n", encoding="utf-8")
    read = document.read(file)
    assert read.value == {"model": "e5-small", "train": {"epochs": 2, "batch_size": 8}}
    assert read.where(("train", "batch_size")) == f"{file}:4"
    assert read.where(("train", "unknown")) == f"{file}:2"
    assert read.where(("absent",)) == str(file)


@pytest.mark.parametrize("given", ["1e-4", "1E-4", "1.0e-4", "0.0001"])
def test_a_small_number_is_a_number(given):
    assert document.parse(f"rate: {given}", "x").value == {"rate": 0.0001}


def test_a_byte_order_mark_and_json_are_read(tmp_path):
    file = tmp_path / "spec.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": [1, {"b": None}]}).encode())
    assert document.read(file).value == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("a: &x 1", "&x"),
        ("a: &x 1\nb: *x", "&x"),
        ("a: !!python/object/apply:os.system ['true']", "python/object/apply:os.system"),
        ("a: !secret 1", "!secret"),
    ],
)
def test_anchors_aliases_and_tags_are_refused_with_their_line(text, given):
    with pytest.raises(UsageError, match="no anchors, aliases or tags") as caught:
        document.parse(text, "spec.yaml")
    assert str(caught.value).startswith("spec.yaml:1:")
    assert given in str(caught.value)


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(UsageError, match='spec.yaml:3: the key "a" stands twice'):
        document.parse("a: 1\nb: 2\na: 3\n", "spec.yaml")


@pytest.mark.parametrize("text", ["", "- a", "just words", "# a comment"])
def test_a_spec_must_be_a_mapping(text):
    with pytest.raises(UsageError, match="must be a mapping"):
        document.parse(text, "spec.yaml")


def test_broken_yaml_names_its_line():
    with pytest.raises(UsageError, match=r"spec.yaml:2: this is not valid YAML"):
        document.parse("a: 1\n b: : 2", "spec.yaml")


def test_the_depth_is_bounded_before_a_tree_is_built():
    deepest = "a: " + "[" * 15 + "]" * 15
    assert document.parse(deepest, "x").value
    with pytest.raises(LimitError, match="deeper than 16 levels"):
        document.parse("a: " + "[" * 16 + "]" * 16, "x")
    with pytest.raises(LimitError):
        document.parse("a: " + "[" * 100_000, "x")


def test_the_size_is_bounded_before_a_byte_is_read(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text("a: " + "x" * document.MAX_BYTES, encoding="utf-8")
    with pytest.raises(LimitError, match="262147 bytes; a spec may have 262144"):
        document.read(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        document.read(tmp_path / "none.yaml")


def test_a_file_that_is_not_utf8_is_one_sentence(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_bytes("模型: e5-small".encode("gb18030"))
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        document.read(file)


def test_a_nul_byte_is_one_sentence():
    with pytest.raises(UsageError):
        document.parse("a: \x00", "spec.yaml")


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("3e-5", 3e-5),
        ("true", True),
        ("null", None),
        ("", ""),
        ("8", 8),
        ("[1, 2]", [1, 2]),
        ("{a: 1}", {"a": 1}),
        ("e5-small", "e5-small"),
        ("a: b: c", "a: b: c"),
        ("[open", "[open"),
        ("!!python/none x", "!!python/none x"),
        ("*.txt", "*.txt"),
        ("&x 1", "&x 1"),
        ("[" * 5000 + "]" * 5000, "[" * 5000 + "]" * 5000),
    ],
)
def test_a_scalar_reads_as_yaml_or_stays_text(given, value):
    assert document.scalar(given) == value
