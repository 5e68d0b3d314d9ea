import json
import os
import sys
from dataclasses import dataclass, replace

import datasets
import pyarrow
import pytest

from eight import ROWS, TEXTS
from jishi.core.contracts import Row
from jishi.objectives.masked_lm import MaskedLM
from jishi.tasks.image_classification import ImageClassification
from jishi.tasks.text_classification import TextClassification
from jishi.training import encoding, feature_cache, features
from jishi.training.encoding import same
from jishi.training.features import Encoded
from tiny import tokenizer

WORDS = " ".join(TEXTS)
TASK = TextClassification(problem="single", labels=("bad", "good"), max_length=12)
GIVEN = [{"text": text, "text_pair": None, "label": "good"} for text in TEXTS]


@pytest.fixture(autouse=True)
def always(monkeypatch, tmp_path):
    """Every row is worth a file, and the cache is a fresh one."""
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(features, "KEPT_SECONDS", -1.0)


@pytest.fixture
def encoded(monkeypatch):
    """The rows that were encoded, in order."""
    seen, encode = [], TextClassification.encode

    def watched(self, row: Row, processor):
        seen.append(row["text"])
        return encode(self, row, processor)

    monkeypatch.setattr(TextClassification, "encode", watched)
    return seen


def place(objective=TASK, rows=GIVEN, processor=None):
    return feature_cache.place(objective, rows, processor or tokenizer(WORDS))


def test_the_second_time_nothing_is_encoded(encoded):
    first = Encoded(TASK, GIVEN, tokenizer(WORDS))
    second = Encoded(TASK, GIVEN, tokenizer(WORDS))
    assert encoded == TEXTS
    assert all(map(same, first, second)) and len(second) == len(TEXTS)
    assert (first.lengths, first.unknown, first.truncated) == (second.lengths, second.unknown, second.truncated)


def test_beyond_the_memory_set_aside_features_come_from_the_file(encoded, monkeypatch):
    monkeypatch.setattr(features, "CACHE_BYTES", 400)
    found = Encoded(TASK, GIVEN, tokenizer(WORDS))
    again = list(found)
    assert encoded == TEXTS
    assert all(same(TASK.encode(row, tokenizer(WORDS)), one) for row, one in zip(GIVEN, again, strict=True))


def test_a_change_in_any_part_is_another_place(monkeypatch):
    known = place()
    used = tokenizer(WORDS)
    Encoded(replace(TASK, max_length=5), GIVEN, used)
    assert known == place() == place(processor=used)  # what a tokenizer was used for does not count
    other = {
        "rows": place(rows=[*GIVEN[:-1], {**GIVEN[-1], "label": "bad"}]),
        "order": place(rows=GIVEN[::-1]),
        "field": place(replace(TASK, max_length=13)),
        "class": place(MaskedLM(max_length=12)),
        "vocabulary": place(processor=tokenizer(WORDS + " more")),
        "length": place(processor=tokenizer(WORDS, max_length=32)),
    }
    monkeypatch.setattr(feature_cache, "version", lambda name: "0")
    other["versions"] = place()
    monkeypatch.setattr(feature_cache, "_code", lambda name: "other")
    other["code"] = place()
    assert len({known, *other.values()}) == 1 + len(other)


def test_the_code_of_a_plugin_is_all_of_its_package(tmp_path, monkeypatch):
    package = tmp_path / "plug"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("A = 1")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("plug")
    before = feature_cache._code("plug")
    (package / "inner.py").write_text("A = 2")
    feature_cache._code.cache_clear()
    assert feature_cache._code("plug") != before
    del sys.modules["plug"]


def test_rows_of_a_file_count_by_what_they_say_wherever_it_stands(tmp_path):
    for name, rows in {"a": GIVEN, "b": GIVEN, "c": GIVEN[::-1]}.items():
        table = pyarrow.Table.from_pylist(rows)
        with pyarrow.ipc.new_stream(str(tmp_path / name), table.schema) as stream:
            stream.write_table(table)
    first, second, other = (datasets.Dataset.from_file(str(tmp_path / name)) for name in "abc")
    assert place(rows=first) == place(rows=second) == place(rows=first.select(range(8)))
    parts = [
        first,
        other,
        first.select([1, 0]),
        first.select([0, 1]),
        first.select([1, 2]),
        first.remove_columns("label"),
    ]
    assert len({place(rows=part) for part in parts}) == len(parts)


@pytest.mark.parametrize("harm", ["changed", "cut", "listless"])
def test_a_damaged_file_is_not_believed(encoded, harm):
    whole = list(Encoded(TASK, GIVEN, tokenizer(WORDS)))
    file = place() / feature_cache.FILE
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "listless":
        (place() / "MANIFEST.json").unlink()
    else:
        file.write_bytes(content if harm == "changed" else content[:-20])
    assert all(map(same, whole, Encoded(TASK, GIVEN, tokenizer(WORDS))))
    assert encoded == [*TEXTS, *TEXTS]
    assert feature_cache.find(place()) is not None  # made anew


def test_an_encoding_that_breaks_off_leaves_nothing():
    with pytest.raises(KeyError):
        Encoded(TASK, [*GIVEN, {}], tokenizer(WORDS))
    folder = place().parent
    assert not folder.exists() or not list(folder.iterdir())


def test_a_cache_that_can_not_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(features, "CACHE_BYTES", 400)
    found = Encoded(TASK, GIVEN, tokenizer(WORDS))
    assert all(same(TASK.encode(row, tokenizer(WORDS)), one) for row, one in zip(GIVEN, found, strict=True))


def test_what_was_used_longest_ago_goes_first(monkeypatch):
    tasks = [replace(TASK, max_length=length) for length in (5, 6, 7)]
    for age, task in enumerate(tasks[:2]):
        Encoded(task, GIVEN, tokenizer(WORDS))
        os.utime(place(task), (age, age))
    feature_cache.find(place(tasks[0]))  # used now
    size = sum(file.stat().st_size for file in place(tasks[0]).iterdir())
    monkeypatch.setattr(feature_cache, "LIMIT", int(2.5 * size))
    Encoded(tasks[2], GIVEN, tokenizer(WORDS))
    assert [place(task).exists() for task in tasks] == [True, False, True]


def test_pictures_and_classes_that_are_no_plugin_are_not_kept():
    @dataclass(frozen=True)
    class Mine(TextClassification):
        pass

    rows = [ImageClassification().parse(row) for row in ROWS["image-classification"]]
    assert feature_cache.place(ImageClassification(), rows, object()) is None
    assert place(ImageClassification(), rows) is None
    assert place(Mine()) is None


def test_few_rows_and_quick_ones_make_no_file(monkeypatch, tmp_path):
    monkeypatch.setattr(features, "KEPT_SECONDS", 0.5)
    Encoded(TASK, GIVEN, tokenizer(WORDS))
    assert encoding.seconds(TASK, GIVEN, tokenizer(WORDS)) == 0 and not (tmp_path / "cache").exists()


def test_nothing_in_the_cache_is_code():
    Encoded(TASK, GIVEN, tokenizer(WORDS))
    assert sorted(file.name for file in place().iterdir()) == ["MANIFEST.json", feature_cache.FILE]
    assert json.loads((place() / "MANIFEST.json").read_text()).keys() == {feature_cache.FILE}
