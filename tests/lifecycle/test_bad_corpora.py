"""What is given for a corpus and is none, or too large, is refused or counted, with what to do; memory stays bounded."""

import json
import subprocess
import sys

import pytest

import jishi
from jishi.core.errors import DataError
from jishi.lifecycle import stage
from jishi.lifecycle.corpus import TRAIN, CorpusSpec, Source, clean

LINE = "a line of text that stays"
MEASURED = r"""
import pathlib, re, sys, jishi
made = jishi.prepare(corpus={"sources": sys.argv[1], "processes": 1}, out=sys.argv[2])
print(made.report["ledger"][0]["reasons"], made.report["texts"])
print(re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/self/status").read_text())[1])
print([name for name in ("torch", "transformers", "sklearn") if name in sys.modules])
"""


def measured(source, out):
    """The reasons and texts of a corpus made in a process of its own, its peak memory in MB, the model libraries it loads."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(source), str(out)], capture_output=True, text=True, check=True
    )
    told, peak, loaded = done.stdout.splitlines()
    return told, int(peak) / 1024, loaded


def spec(source, **settings):
    return CorpusSpec((Source(str(source)),), processes=1, **settings)


def refusal(source, out, **settings):
    with pytest.raises(DataError) as found:
        clean(spec(source, **settings), out)
    return str(found.value)


def test_a_corpus_needs_no_model_library(tmp_path):
    (tmp_path / "a.txt").write_text(LINE)
    assert measured(tmp_path / "a.txt", tmp_path / "out")[2] == "[]"


@pytest.mark.parametrize("done", [0, 2])
def test_what_fails_before_anything_is_done_leaves_nothing_behind(tmp_path, monkeypatch, done):
    """As a cluster that is too small does. What was done stays for who tries again."""
    (tmp_path / "a.txt").write_text("\n".join([LINE] * 4))
    monkeypatch.setattr(stage, "BATCH", 1)
    monkeypatch.setattr(stage, "PART_BATCHES", 1)
    treat, calls = stage.Stage.treat, []

    def fail(self, batch):
        calls.append(batch)
        if len(calls) > done:
            raise OSError("full")
        return treat(self, batch)

    monkeypatch.setattr(stage.Stage, "treat", fail)
    with pytest.raises(OSError, match="full"):
        clean(spec(tmp_path / "a.txt"), tmp_path / "out")
    left = sorted(path.name for path in tmp_path.rglob("part-*"))
    assert left == [f"part-{number:05d}" for number in range(done)]
    assert (tmp_path / ".out.work").exists() == bool(done)


@pytest.mark.slow
def test_a_hole_of_ten_gigabytes_is_one_bad_row_and_takes_no_memory(tmp_path):
    file = tmp_path / "holes.txt"
    with file.open("wb") as out:
        out.write(f"{LINE}\n".encode())
        out.seek(10 * 2**30)
        out.write(f"\n{LINE}\n".encode())
    told, megabytes, _ = measured(file, tmp_path / "out")
    assert told == "{'data.row-too-large': 1} 2"
    assert megabytes < 300


def test_a_line_of_fifty_megabytes_is_counted_and_read_where_that_is_asked_for(tmp_path):
    file = tmp_path / "long.txt"
    file.write_text(f"{LINE}\n{'word and ' * 5_600_000}\n{LINE}")
    told, megabytes, _ = measured(file, tmp_path / "out")
    assert told == "{'data.row-too-large': 1} 2" and megabytes < 300
    made = clean(spec(file, max_row_bytes=2**26), tmp_path / "long")
    assert made.report["texts"] == 3 and made.report["characters"] == 2 * len(LINE) + 9 * 5_600_000


def test_a_binary_file_named_as_text_is_refused_and_named(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(bytes(range(256)) * 40)
    told = refusal(tmp_path, tmp_path / "out")
    assert str(file) in told and "NUL" in told and "take the file out" in told
    file.write_bytes("déjà vu, garçon\n".encode("latin-1") * 40)
    assert "corpus.encoding" in refusal(tmp_path, tmp_path / "out")


def test_where_no_row_is_a_text_the_first_says_why(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"body": "x"}\n{"body": "y"}\n')
    told = refusal(file, tmp_path / "out")
    assert "None of the 2 rows" in told and "data.no-text 2" in told and "a.jsonl:1" in told and "it has: body" in told
    with pytest.raises(DataError, match="it has: body"):
        jishi.tokenizer(data=str(file), out=str(tmp_path / "tokenizer"))


def test_an_empty_corpus_is_told(tmp_path):
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "picture.png").touch()
    assert "holds no row" in refusal(tmp_path / "blank.txt", tmp_path / "out")
    assert "no file that can be read" in refusal(tmp_path / "none", tmp_path / "out")
    assert not list(tmp_path.glob(".*"))


def test_nine_copies_of_ten_are_counted_and_go(tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [{"text": f"{place % 10} is the number that this text is about"} for place in range(100)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = jishi.prepare(
        corpus={"sources": str(file), "operations": {"name": "deduplicate", "threshold": 1}}, out=tmp_path / "o"
    )
    assert made.report["ledger"][1]["reasons"] == {"equal": 90} and made.report["texts"] == 10
    assert len((made.path / TRAIN).read_text().splitlines()) == 10


def test_a_folder_of_texts_is_made_one_corpus_before_it_is_learnt_from(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.txt").write_text(LINE)
    asked = {"data": str(tmp_path / "raw"), "out": str(tmp_path / "out")}
    for verb, more in ((jishi.tokenizer, {}), (jishi.pretrain, {"model": "transformer-encoder"})):
        with pytest.raises(DataError, match=f"jishi prepare corpus.sources={tmp_path / 'raw'}"):
            verb(**asked, **more)
