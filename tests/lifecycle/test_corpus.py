"""Raw texts become one clean corpus: counted at every step, the same whoever works and however often it was cut off."""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import jishi
from jishi.core.contracts import Operation, Treated
from jishi.core.errors import DataError, JishiError, RowError, UsageError
from jishi.lifecycle import stage
from jishi.lifecycle.corpus import RECORD, TRAIN, CorpusSpec, Source, clean
from jishi.lifecycle.tally import Tally
from jishi.operations.deduplicate import Deduplicate
from jishi.operations.line_filter import LineFilter
from jishi.operations.mask_personal_data import MaskPersonalData
from jishi.operations.split_sentences import SplitSentences

STEPS = ("normalise", "quality-filter", "line-filter", "deduplicate", "mask-personal-data")


def body(number):
    """A text that is like no other."""
    return " ".join(
        f"the {word}{number * 7919 % 9973} is in a {word}" for word in ("house", "tree", "river", "hill", "road")
    )


@pytest.fixture
def raw(tmp_path):
    """Forty texts, among them: one twice, one that is too short, one without text, five with the same line, one with a phone."""
    texts = [body(number) for number in range(40)]
    texts[7] = texts[3]
    texts[9] = "short"
    texts[11] += "\nring 13812345678"
    for number in range(20, 32):
        texts[number] += "\nCopyright by the authors, all rights reserved"
    folder = tmp_path / "raw"
    write(folder / "a.jsonl", [{"text": text} for text in texts[:30]] + [{"title": "no text"}])
    write(folder / "b.jsonl", [{"text": text} for text in texts[30:]])
    return folder


def write(file, rows):
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def texts(path):
    return [json.loads(line)["text"] for line in (Path(path) / TRAIN).read_text(encoding="utf-8").splitlines()]


def spec(source, **settings):
    return CorpusSpec((Source(str(source)),), processes=1, **settings)


def test_nothing_vanishes_uncounted(raw, tmp_path):
    made = jishi.prepare(corpus={"sources": str(raw), "operations": list(STEPS)}, out=tmp_path / "out")
    ledger = {step["step"]: step for step in made.report["ledger"]}
    assert list(ledger) == ["reading", *STEPS]
    for before, after in zip(made.report["ledger"], made.report["ledger"][1:], strict=False):
        assert after["seen"] == before["given"] and after["seen"] == after["kept"] + after["changed"] + after["dropped"]
    assert (ledger["reading"]["seen"], ledger["reading"]["reasons"]) == (41, {"data.no-text": 1})
    assert ledger["quality-filter"]["reasons"] == {"short": 1}
    assert ledger["line-filter"]["reasons"] == {"repeated-line": 12}
    assert ledger["deduplicate"]["reasons"] == {"equal": 1}
    assert ledger["mask-personal-data"]["reasons"] == {"mobile": 1}
    found = texts(made.path)
    assert len(found) == made.report["texts"] == 38 and sum(map(len, found)) == made.report["characters"]
    expected = [body(n) for n in range(40) if n not in (7, 9)]
    expected[expected.index(body(11))] += "\nring <mobile>"
    assert found == expected
    assert "13812345678" not in (made.path / RECORD).read_text(encoding="utf-8")
    assert ledger["line-filter"]["samples"]["repeated-line"][0]["where"].endswith("a.jsonl:21")


@pytest.mark.parametrize(("batch", "processes"), [(400, 1), (400, 2), (3000, 2)])
def test_however_it_is_cut_and_whoever_works_the_corpus_is_the_same(raw, tmp_path, monkeypatch, batch, processes):
    whole = jishi.prepare(corpus={"sources": str(raw), "operations": list(STEPS), "processes": 1}, out=tmp_path / "a")
    monkeypatch.setattr(stage, "BATCH", batch)
    monkeypatch.setattr(stage, "PART_BATCHES", 2)
    cut = jishi.prepare(
        corpus={"sources": str(raw), "operations": list(STEPS), "processes": processes}, out=tmp_path / "b"
    )
    for name in (TRAIN, RECORD):
        assert (whole.path / name).read_bytes() == (cut.path / name).read_bytes()
    assert not list(tmp_path.glob(".*"))


@dataclass(frozen=True)
class Cut(Operation):
    """Ends the process at a text, as a machine would that dies."""

    asked: Counter
    last: int

    def treat(self, text, known=None):
        if self.asked.total() == self.last:
            raise KeyboardInterrupt
        self.asked[text] += 1


def test_what_was_done_is_not_done_again(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "BATCH", 400)
    monkeypatch.setattr(stage, "PART_BATCHES", 2)
    asked = Counter()
    whole = clean(spec(raw, operations=(Deduplicate(), LineFilter())), tmp_path / "whole")
    batches = list(stage.batched(iter([stage.Text(text, 0, "") for text in texts(whole.path)])))
    assert len(batches) > 8
    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        stage.run(stage.Stage([Cut(asked, 26)]), lambda: iter(batches), folder, 1)
    done = len(list(stage.texts(folder)))
    assert 0 < done < 26
    tallies = stage.run(stage.Stage([Cut(asked, 10**6)]), lambda: iter(batches), folder, 1)
    assert [one.text for one in stage.texts(folder)] == texts(whole.path)
    assert tallies[1].seen == tallies[1].kept == len(texts(whole.path))
    assert sum(times - 1 for times in asked.values()) == 26 - done  # of the part that was not done, and no more


def test_a_corpus_that_was_cut_off_anywhere_is_the_same_in_the_end(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "BATCH", 400)
    monkeypatch.setattr(stage, "PART_BATCHES", 2)
    steps = spec(raw, operations=(Deduplicate(), LineFilter(texts=5), MaskPersonalData()))
    whole = clean(steps, tmp_path / "whole")
    write, times = stage._write, Counter()

    def cut(part, results, **settings):
        times["written"] += 1
        if times["written"] % 3 == 0:
            raise KeyboardInterrupt
        write(part, results, **settings)

    monkeypatch.setattr(stage, "_write", cut)
    while not (tmp_path / "out" / RECORD).exists():
        with suppress(KeyboardInterrupt):
            clean(steps, tmp_path / "out")
    assert times["written"] > 20
    for name in (TRAIN, RECORD):
        assert (whole.path / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_a_corpus_that_was_made_is_not_made_again_and_another_recipe_is(raw, tmp_path):
    first = clean(spec(raw), tmp_path / "out")
    before = (first.path / RECORD).stat().st_mtime_ns
    assert clean(spec(raw), tmp_path / "out").fingerprint == first.fingerprint
    assert (first.path / RECORD).stat().st_mtime_ns == before
    assert clean(spec(raw, operations=(SplitSentences(apart=True),)), tmp_path / "out").report["texts"] > 40
    write(raw / "c.jsonl", [{"text": "one more"}])
    assert "one more" in texts(clean(spec(raw), tmp_path / "out").path)


def test_a_mixture_weighs_its_sources(tmp_path):
    for name, count in (("a", 400), ("b", 10)):
        write(tmp_path / f"{name}.jsonl", [{"text": f"{name} {number}"} for number in range(count)])
    sources = (Source(str(tmp_path / "a.jsonl"), 0.25), Source(str(tmp_path / "b.jsonl"), 2.0))
    made = clean(CorpusSpec(sources, processes=1), tmp_path / "out")
    found = Counter(texts(made.path))
    assert sorted(times for text, times in found.items() if text.startswith("b")) == [2] * 10
    few = [times for text, times in found.items() if text.startswith("a")]
    assert set(few) == {1} and 70 <= len(few) <= 130  # 100 on average, 9 to a standard deviation
    assert [one["texts"] for one in made.report["mixture"]] == [len(few), 20]


def test_a_source_can_say_what_its_texts_are(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": "one"}])
    write(tmp_path / "b.jsonl", [{"text": "two"}])
    sources = (Source(str(tmp_path / "a.jsonl"), label="first"), Source(str(tmp_path / "b.jsonl")))
    clean(CorpusSpec(sources, processes=1), tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / TRAIN).read_text(encoding="utf-8").splitlines()]
    assert rows == [{"text": "one", "label": "first"}, {"text": "two"}]


def test_columns_become_one_text_and_text_files_are_read_by_line(tmp_path):
    write(tmp_path / "a.jsonl", [{"title": "T", "text": "body"}, {"text": "alone"}])
    (tmp_path / "b.txt").write_bytes("甲乙丙丁\n第二行文字".encode("gb18030"))
    assert texts(clean(spec(tmp_path / "a.jsonl", column=("title", "text")), tmp_path / "out").path) == [
        "T\nbody",
        "alone",
    ]
    assert texts(clean(spec(tmp_path / "b.txt"), tmp_path / "out2").path) == ["甲乙丙丁", "第二行文字"]


def test_rows_that_are_no_text_are_counted_or_stop(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "fine"}\n{"text": 3}\n{broken\n{"text": "' + "x" * 5000 + '"}\n', encoding="utf-8")
    made = clean(spec(file, max_row_bytes=1000), tmp_path / "out")
    reading = made.report["ledger"][0]
    assert (reading["seen"], reading["dropped"], made.report["texts"]) == (4, 3, 1)
    assert len(reading["reasons"]) == 3 and "data.row-too-large" in reading["reasons"]
    with pytest.raises(RowError, match=r"a\.jsonl:2"):
        clean(spec(file, on_bad_row="stop"), tmp_path / "out2")


def test_half_a_character_is_a_bad_row_and_whole_ones_of_any_kind_are_not(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": "👩\u200d💻 中文 😀"}])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"text": "\\ud83d lone"}\n')
    steps = (SplitSentences(), Deduplicate(), MaskPersonalData())
    made = clean(spec(tmp_path / "a.jsonl", operations=steps), tmp_path / "out")
    assert made.report["ledger"][0]["reasons"] == {"modalities.text-control": 1}
    assert texts(made.path) == ["👩\u200d💻 中文 😀"]


def test_what_can_not_be_a_corpus_is_told(tmp_path):
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "empty.txt").touch()
    (tmp_path / "short.txt").write_text("a\nb\n")
    (tmp_path / "other").mkdir()
    for source, words in (
        ("binary.txt", "binary"), ("empty.txt", "empty"), ("none", "does not exist"), ("other", "jsonl"),
    ):  # fmt: skip
        with pytest.raises(JishiError, match=words):
            clean(spec(tmp_path / source), tmp_path / "out")
    with pytest.raises(DataError, match=r"Of 2 rows .*none is left \(short 2\)"):
        jishi.prepare(
            corpus={"sources": str(tmp_path / "short.txt"), "operations": "quality-filter"}, out=tmp_path / "out"
        )
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(DataError, match="was not made by prepare"):
        clean(spec(tmp_path / "short.txt"), tmp_path / "other")
    with pytest.raises(UsageError, match="deduplicate"):
        jishi.prepare(corpus={"sources": "x", "operations": ["dedupliacte"]}, out=tmp_path / "out")
    with pytest.raises(UsageError, match="what to prepare"):
        jishi.prepare(data=str(tmp_path / "short.txt"), corpus={"sources": "x"}, out=tmp_path / "out")


def test_a_spec_in_yaml_names_the_line_of_a_bad_step(tmp_path):
    file = tmp_path / "corpus.yaml"
    steps = [{"name": "quality-filter", "leest": 3}]
    file.write_text(yaml.safe_dump({"corpus": {"sources": "x", "operations": steps}, "out": "y"}))
    with pytest.raises(UsageError, match=r"corpus\.yaml:\d+.*least"):
        jishi.prepare(file)


def test_the_account_of_parts_is_that_of_the_whole():
    whole, first, second = Tally(), Tally(), Tally()
    for number in range(10):
        treated = None if number % 3 else Treated([] if number else ["new", "two"], {"why": 2})
        for tally in (whole, first if number < 4 else second):
            tally.add(str(number), f"text {number}", treated)
    first.merge(Tally.of(json.loads(json.dumps(second.to_dict()))))
    assert first.to_dict() == whole.to_dict()
    counts = (whole.seen, whole.kept, whole.changed, whole.dropped, whole.given, whole.reasons["why"])
    assert counts == (10, 6, 1, 3, 8, 8)


def test_what_is_masked_is_not_shown():
    tally, operation = Tally(), MaskPersonalData()
    tally.add("a:1", "call 13812345678", operation.treat("call 13812345678"), discreet=operation.discreet)
    assert tally.samples == {"mobile": [{"where": "a:1", "after": "call <mobile>"}]}


def test_lines_in_another_encoding_are_counted_and_an_encoding_can_be_named(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes("全部是统一码的一行\n".encode() * 3 + "这一行不是\n".encode("gb18030"))
    assert clean(spec(file), tmp_path / "out").report["ledger"][0]["reasons"] == {"data.bad-encoding": 1}
    file.write_bytes("繁體中文一行\n".encode("big5"))
    assert texts(clean(spec(file, encoding="big5"), tmp_path / "big5").path) == ["繁體中文一行"]
