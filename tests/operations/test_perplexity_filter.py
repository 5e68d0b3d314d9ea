"""What is unlike the reference goes, what is like it stays."""

import json
import random

import numpy
import pytest

import jishi
from jishi.core.errors import DataError, RowError
from jishi.operations.perplexity_filter import PerplexityFilter

TEXT = "the house stood on a hill and wind from sea went around it all winter long 山上 的 房子 冬天 海风 吹 过来"
WORDS = TEXT.split()


def texts(seed, count=100):
    draw = random.Random(seed)
    return [" ".join(draw.choice(WORDS) for _ in range(30)) for _ in range(count)]


def write(file, found):
    file.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in found), encoding="utf-8")
    return str(file)


@pytest.fixture
def reference(tmp_path):
    return write(tmp_path / "reference.jsonl", texts(0))


def reasons(operation, found):
    operation.ready()
    known = operation.settle([operation.survey(found[:2]), operation.survey(found[2:])], len(found))
    return [
        next(iter(treated.reasons)) if (treated := operation.treat(text, why)) else None
        for text, why in zip(found, known, strict=True)
    ]


def test_what_is_strange_or_plain_is_named_and_the_rest_stays(reference):
    draw = random.Random(1)
    like = texts(2, 3)
    noise = "".join(draw.choice("qzxjkvbwpf0123456789") for _ in range(200))
    wrong = texts(3, 1)[0].encode().decode("latin-1")
    assert reasons(PerplexityFilter(reference), [*like, noise, wrong]) == [None, None, None, "strange", "strange"]
    bits = PerplexityFilter(reference).survey(like)
    assert bits.dtype == numpy.float32 and (bits > 0.5).all() and (bits < 2).all()
    plain = PerplexityFilter(reference, least=float(bits[0]) + 0.001, most=64)
    assert reasons(plain, [like[0], noise, wrong]) == ["plain", None, None]


def test_a_changed_reference_makes_the_corpus_again(reference, tmp_path):
    raw = write(tmp_path / "raw.jsonl", [*texts(2, 20), "qzx jkv 9081 " * 20])
    spec = {"sources": raw, "operations": {"name": "perplexity-filter", "reference": reference}, "processes": 2}
    made = jishi.prepare(corpus=spec, out=tmp_path / "out")
    assert made.report["ledger"][1]["reasons"] == {"strange": 1} and made.report["texts"] == 20
    before = (tmp_path / "out" / "corpus.json").stat().st_mtime_ns
    jishi.prepare(corpus=spec, out=tmp_path / "out")
    assert (tmp_path / "out" / "corpus.json").stat().st_mtime_ns == before
    write(tmp_path / "reference.jsonl", [*texts(0), "qzx jkv 9081 " * 20])
    assert jishi.prepare(corpus=spec, out=tmp_path / "out").report["texts"] == 21


def test_a_corpus_folder_may_be_the_reference(reference, tmp_path):
    made = jishi.prepare(corpus={"sources": reference}, out=tmp_path / "good")
    operation = PerplexityFilter(str(made.path))
    assert [file.name for file in operation.files()] == ["train.jsonl"]
    assert reasons(operation, texts(2, 3)) == [None] * 3


def test_a_reference_that_is_none_is_told(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        PerplexityFilter(str(tmp_path / "none.jsonl")).ready()
    blank = tmp_path / "blank.txt"
    blank.write_text("\n")
    with pytest.raises(DataError, match="holds no row"):
        PerplexityFilter(str(blank)).ready()
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "a"}\n{"body": "b"}\n')
    with pytest.raises(RowError, match=r"other\.jsonl:2.*it has: body"):
        PerplexityFilter(str(other)).ready()
