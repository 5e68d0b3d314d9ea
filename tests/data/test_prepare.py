import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from jishi.core.errors import DataError, RowError
from jishi.core.i18n import text
from jishi.data import report
from jishi.data.dataset import Dataset
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec
from jishi.tasks.question_answering import QuestionAnswering


def texts(rows) -> list[str]:
    return [row["text"] for row in rows]


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def adds_up(ledger) -> bool:
    return ledger["read"] == sum(sum(ledger[name].values()) for name in ("accepted", "refused", "cut"))


def test_given_parts_are_kept_as_they_are_and_in_order(task, write, reviews, tmp_path):
    (tmp_path / "set").mkdir()
    content = "".join(json.dumps(row) + "\n" for row in reviews(6))
    (tmp_path / "set/train.jsonl.gz").write_bytes(gzip.compress(content.encode()))
    write("set/dev.jsonl", reviews(2, 10))
    write("set/test.jsonl", reviews(4, 20))
    write("set/README.md", "not data")
    data = prepare(DataSpec(str(tmp_path / "set")), task, tmp_path / "out")
    assert [texts(rows) for rows in (data.train, data.validation, data.test)] == [
        texts(reviews(6)),
        texts(reviews(2, 10)),
        texts(reviews(4, 20)),
    ]
    assert data.train[0] == {"text": "review number 0 很好", "note": None, "label": "good"}
    assert data.ledger["accepted"] == {"train": 6, "validation": 2, "test": 4}
    assert listing(tmp_path / "out") == {"train.arrow", "validation.arrow", "test.arrow", "data.json", "report.json"}


def test_one_file_is_split_with_every_row_in_one_part(task, write, reviews, tmp_path):
    data = prepare(DataSpec(write("a.jsonl", reviews(200))), task, tmp_path / "out")
    parts = {part: texts(rows) for part, rows in data.parts.items()}
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 160, "validation": 20, "test": 20}
    assert sorted(text for rows in parts.values() for text in rows) == sorted(texts(reviews(200)))
    assert data.report["labels"]["validation"] == {"bad": 10, "good": 10}


def test_only_the_parts_that_are_not_given_are_cut_from_train(task, write, reviews, tmp_path):
    spec = DataSpec(write("a.jsonl", reviews(100)), test=write("b.jsonl", reviews(10, 500)))
    data = prepare(spec, task, tmp_path / "out")
    assert (len(data.train), len(data.validation), texts(data.test)) == (90, 10, texts(reviews(10, 500)))


def test_a_split_of_one_part_leaves_the_others_out(task, write, reviews, tmp_path):
    data = prepare(DataSpec(write("a.jsonl", reviews(10)), split=(1.0, 0.0, 0.0)), task, tmp_path / "out")
    assert (len(data.train), data.validation, data.test) == (10, None, None)


def test_exact_duplicates_never_stand_in_two_parts(task, write, reviews, tmp_path):
    data = prepare(DataSpec(write("a.jsonl", reviews(100) * 3)), task, tmp_path / "out")
    parts = [set(texts(rows)) for rows in data.parts.values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 100
    assert sum(data.report["duplicates"]["within"].values()) == 200


def test_preparing_again_elsewhere_gives_the_same_fingerprint(task, write, reviews, tmp_path):
    source = write("a.jsonl", reviews(50))
    copy = write("elsewhere/b.jsonl", reviews(50))
    one = prepare(DataSpec(source), task, tmp_path / "one")
    two = prepare(DataSpec(copy), task, tmp_path / "two")
    assert one.fingerprint == two.fingerprint
    assert (tmp_path / "one/train.arrow").read_bytes() == (tmp_path / "two/train.arrow").read_bytes()


def test_one_other_label_gives_another_fingerprint(task, write, reviews, tmp_path):
    one = prepare(DataSpec(write("a.jsonl", reviews(50))), task, tmp_path / "one")
    changed = [*reviews(49), {**reviews(50)[49], "label": "good"}]
    two = prepare(DataSpec(write("b.jsonl", changed)), task, tmp_path / "two")
    assert one.fingerprint != two.fingerprint


def test_what_is_made_already_is_not_made_again_until_the_source_or_the_spec_changes(task, write, reviews, tmp_path):
    source, out = write("a.jsonl", reviews(50)), tmp_path / "out"
    made = lambda: (out / "data.json").stat().st_ino  # noqa: E731
    prepare(DataSpec(source), task, out)
    first = made()
    prepare(DataSpec(source), task, out)
    assert made() == first
    prepare(DataSpec(source, seed=1), task, out)
    second = made()
    assert second != first
    write("a.jsonl", reviews(51))
    assert prepare(DataSpec(source, seed=1), task, out).ledger["read"] == 51


def test_the_first_bad_row_stops_with_its_place_and_leaves_nothing_behind(task, write, reviews, tmp_path):
    source = write("a.jsonl", [*reviews(5), {"text": "no label"}, *reviews(5)])
    before = listing(tmp_path)
    with pytest.raises(RowError, match=r"a\.jsonl:6: .*label"):
        prepare(DataSpec(source), task, tmp_path / "out")
    assert listing(tmp_path) == before


def test_bad_rows_that_are_skipped_are_counted_by_reason_with_samples(task, write, reviews, tmp_path):
    lines = [json.dumps(row) for row in reviews(20)]
    lines[3] = '{"text": "no label"}'
    lines[7] = '{"text": 5, "label": "good"}'
    lines[8] = "not json"
    lines[11] = '{"text": "x", "label": null}'
    source = write("a.jsonl", "\n".join(lines))
    data = prepare(DataSpec(source, on_bad_row="skip"), task, tmp_path / "out")
    ledger = data.ledger
    assert (ledger["read"], sum(ledger["accepted"].values())) == (20, 16)
    assert ledger["refused"] == {"data.bad-json": 1, "modalities.no-text": 1, "tasks.label-missing": 2}
    assert [sample["where"] for sample in ledger["samples"]] == [f"{source}:{line}" for line in (4, 8, 9, 12)]
    assert adds_up(ledger)


def test_limits_cut_rows_and_every_one_is_accounted_for(task, write, reviews, tmp_path):
    lines = [json.dumps(row) for row in reviews(100)]
    lines[10] = "bad"
    spec = DataSpec(write("a.jsonl", "\n".join(lines)), on_bad_row="skip", max_rows=50, train_rows=8)
    ledger = prepare(spec, task, tmp_path / "out").ledger
    assert ledger["accepted"] == {"train": 8, "validation": 5, "test": 5}
    assert ledger["cut"] == {"max_rows": 49, "train_rows": 32}
    assert ledger["refused"] == {"data.bad-json": 1}
    assert adds_up(ledger)


def test_few_training_rows_are_even_over_the_labels_and_leave_the_test_alone(task, write, tmp_path):
    rows = [{"text": f"text {n}", "label": "rare" if n % 10 == 0 else "often"} for n in range(200)]
    source = write("a.jsonl", rows)
    full = prepare(DataSpec(source), task, tmp_path / "full")
    few = prepare(DataSpec(source, train_rows=10), task, tmp_path / "few")
    assert few.report["labels"]["train"] == {"often": 5, "rare": 5}
    assert texts(few.test) == texts(full.test)
    assert set(texts(few.train)) < set(texts(full.train))


def test_columns_are_found_under_the_names_the_spec_gives(task, write, tmp_path):
    source = write("a.csv", "review,stars,text\ngood one,5,x\nbad one,1,y\n")
    spec = DataSpec(source, columns={"text": "review", "label": "stars", "note": "text"}, split=(1.0, 0.0, 0.0))
    data = prepare(spec, task, tmp_path / "out")
    assert data.train[0] == {"text": "good one", "note": "x", "label": "5"}


def test_a_column_that_is_not_there_is_named_with_the_nearest(task, write, tmp_path):
    source = write("a.csv", "review,stars\ngood one,5\n")
    with pytest.raises(DataError, match=r'"reviews".*Did you mean "review"'):
        prepare(DataSpec(source, columns={"text": "reviews"}), task, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", "text,label\n", "a.csv holds no row"),
        ("a.jsonl", "\n\n", "a.jsonl holds no row"),
        ("a.docx", "text", "no format"),
        ("a.jsonl", '{"text": "x", "label": "a"}\n{"text": "y", "label": "a"}\n', 'the label "a"'),
    ],
)
def test_data_that_are_not_fit_say_so_in_a_sentence_and_nothing_is_written(
    task, write, tmp_path, name, content, message
):
    source = write(name, content)
    before = listing(tmp_path)
    with pytest.raises(DataError, match=message):
        prepare(DataSpec(source), task, tmp_path / "out")
    assert listing(tmp_path) == before


def test_a_row_of_ten_megabytes_is_refused_with_its_line(task, write, reviews, tmp_path):
    large = [{"text": "x" * 10 * 2**20, "label": "good"}]
    with pytest.raises(RowError, match=r"a\.jsonl:3: .*max_row_bytes"):
        prepare(DataSpec(write("a.jsonl", [*reviews(2), *large])), task, tmp_path / "out")


def test_a_row_of_a_binary_format_is_held_to_the_limit_too(task, tmp_path):
    rows = [{"text": "short", "label": "a"}, {"text": "x" * 200, "label": "b"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    with pytest.raises(RowError, match=r"a\.parquet:2: .*max_row_bytes"):
        prepare(DataSpec(str(tmp_path / "a.parquet"), max_row_bytes=100), task, tmp_path / "out")


def test_a_file_of_nothing_but_bad_rows_tells_the_first_reason(task, write, tmp_path):
    source = write("a.jsonl", '{"content": "x"}\n{"content": "y"}\n')
    with pytest.raises(DataError, match=r"None of the 2 rows .*a\.jsonl:1"):
        prepare(DataSpec(source, on_bad_row="skip"), task, tmp_path / "out")


def test_a_label_that_training_lacks_stops_or_is_refused(task, write, reviews, tmp_path):
    odd = [*reviews(3, 50), {"text": "strange", "label": "odd"}]
    spec = {"train": write("a.jsonl", reviews(20)), "test": write("b.jsonl", odd)}
    with pytest.raises(DataError, match='"odd"'):
        prepare(DataSpec(**spec), task, tmp_path / "out")
    data = prepare(DataSpec(**spec, on_bad_row="skip"), task, tmp_path / "out")
    assert data.ledger["refused"] == {"data.label-not-in-train": 1}
    assert texts(data.test) == texts(reviews(3, 50))
    assert adds_up(data.ledger)


def test_labels_the_task_knows_beforehand_need_no_training_row(task, write, reviews, tmp_path):
    one_class = [row for row in reviews(20) if row["label"] == "good"]
    known = type(task)(labels=("good", "bad"))
    data = prepare(DataSpec(write("a.jsonl", one_class), split=(1.0, 0.0, 0.0)), known, tmp_path / "out")
    assert len(data.train) == 10


def test_text_that_is_no_unicode_is_refused(task, write, reviews, tmp_path):
    source = write("a.jsonl", '{"text": "\\ud800", "label": "good"}\n')
    with pytest.raises(RowError, match="surrogate"):
        prepare(DataSpec(source), task, tmp_path / "out")
    source = write("a.jsonl", '{"text": "a\\u0000b", "label": "good"}\n')
    with pytest.raises(RowError, match="NUL"):
        prepare(DataSpec(source), task, tmp_path / "out")


def test_a_folder_that_is_not_ours_is_never_replaced(task, write, reviews, tmp_path):
    keep = write("out/precious.txt", "mine")
    with pytest.raises(DataError, match="not made by prepare"):
        prepare(DataSpec(write("a.jsonl", reviews(20))), task, tmp_path / "out")
    assert Path(keep).read_text() == "mine"


def test_a_prepared_folder_is_used_where_it_stands_and_cut_down_on_request(task, write, reviews, tmp_path):
    data = prepare(DataSpec(write("a.jsonl", reviews(100))), task, tmp_path / "out")
    same = prepare(DataSpec(str(tmp_path / "out")), task, tmp_path / "unused")
    assert same.path == tmp_path / "out"
    assert not (tmp_path / "unused").exists()
    few = prepare(DataSpec(str(tmp_path / "out"), train_rows=4), task, tmp_path / "few")
    assert (len(few.train), texts(few.test)) == (4, texts(data.test))


def test_the_record_names_sources_by_content_and_the_task(task, write, reviews, tmp_path):
    import hashlib

    source = write("a.jsonl", reviews(20))
    record = prepare(DataSpec(source), task, tmp_path / "out").record
    content = Path(source).read_bytes()
    assert record["sources"] == [
        {"part": "train", "path": source, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    ]
    assert record["task"] == {"name": "noted", "labels": [], "max_length": None}
    assert Dataset.load(tmp_path / "out").fingerprint == record["fingerprint"]


def test_rows_put_right_by_a_stated_rule_are_counted(write, tmp_path):
    """One answer is moved, one placed where it first occurs, one refused; no answer counts as a label."""
    rows = [
        {"question": "Who?", "context": "Ann met Bob.", "answers": [{"text": "Bob", "answer_start": start}]}
        for start in (8, 5)
    ]
    rows += [{**rows[0], "answers": ["Ann"]}, {**rows[0], "answers": ["Carl"]}]
    spec = DataSpec(write("train.jsonl", rows), on_bad_row="skip", split=(1, 0, 0))
    made = prepare(spec, QuestionAnswering(), tmp_path / "out")
    assert made.ledger["mended"] == {"answer-first": 1, "answer-moved": 1}
    assert made.ledger["refused"] == {"tasks.answer-absent": 1}
    assert made.report["labels"]["train"] == {}
    assert made.train[1]["answers"] == [{"text": "Bob", "start": 8}] and "mended" not in made.train.column_names
    told = dict(report.lines(made.report))
    assert [told[text(f"data.mended-answer-{how}")] for how in ("moved", "first")] == ["1", "1"]
