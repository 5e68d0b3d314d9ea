"""From texts to a tokenizer that a design is pretrained with."""

import json

import pytest
from transformers import AutoTokenizer

import jishi
from jishi.core.errors import DataError, ModelError
from jishi.lifecycle.tokenizer import _drawn
from jishi.models import load
from jishi.models.spec import ModelSpec


@pytest.fixture
def texts(tmp_path):
    file = tmp_path / "texts.jsonl"
    rows = [
        {"text": f"the {who} says {what} number {n}"}
        for n in range(20)
        for who, what in (("cat", "purr"), ("dog", "bark"))
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize(
    ("design", "objective"), [("transformer-encoder", "masked-lm"), ("transformer-decoder", "causal-lm")]
)
def test_a_design_is_pretrained_with_a_tokenizer_that_was_made(design, objective, texts, tmp_path):
    made = jishi.tokenizer(data=str(texts), out=str(tmp_path / "tokenizer"), kind="bpe", size=300)
    assert made["report"]["all"]["unknown"] == 0 and made["report"]["all"]["texts"] == 2  # of 40 texts every twentieth
    run = jishi.pretrain(
        data=str(texts), out=str(tmp_path / "run"), objective=objective, train={"max_steps": 2, "precision": "fp32"},
        model={"name": design, "size": "nano", "tokenizer": made["path"]},
    )  # fmt: skip
    assert json.loads((run.base / "config.json").read_text())["vocab_size"] == made["size"]
    given, kept = (AutoTokenizer.from_pretrained(folder).get_vocab() for folder in (made["path"], run.base))
    assert given == kept


def test_what_is_no_place_for_a_tokenizer_is_told(texts, tmp_path):
    asked = {"data": str(texts), "out": str(tmp_path / "run"), "train": {"max_steps": 1}}
    with pytest.raises(ModelError, match="holds no tokenizer"):
        jishi.pretrain(**asked, model={"name": "transformer-encoder", "tokenizer": str(tmp_path)})
    with pytest.raises(ModelError, match="reads no tokens"):
        load.processor(ModelSpec("resnet", tokenizer=str(tmp_path)))
    with pytest.raises(DataError, match="it has: text"):
        jishi.tokenizer(data=str(texts), out=str(tmp_path / "tokenizer"), column="title")


def test_rows_without_a_text_teach_nothing(texts, tmp_path):
    odd = tmp_path / "odd.jsonl"
    odd.write_text(texts.read_text() + '{"text": "\\ud83d lone"}\n{"text": 3}\n')
    for file, out in ((texts, "plain"), (odd, "odd")):
        jishi.tokenizer(data=str(file), out=str(tmp_path / out), size=300)
    plain, with_odd = ((tmp_path / out / "tokenizer.json").read_text() for out in ("plain", "odd"))
    assert plain == with_odd


def test_every_row_is_counted(texts, tmp_path):
    odd = tmp_path / "odd.jsonl"
    odd.write_text('{"text": "\\ud83d lone"}\n{"text": 3}\n{broken\n' + texts.read_text() + '{"title": "none"}\n')
    made = jishi.tokenizer(data=str(odd), out=str(tmp_path / "made"), size=300)
    reading = made["reading"]
    assert (reading["seen"], reading["kept"], reading["dropped"]) == (44, 40, 4)
    assert reading["reasons"] == {"data.bad-json": 1, "data.no-text": 2, "modalities.text-control": 1}
    assert json.loads((tmp_path / "made" / "tokenizer_report.json").read_text())["reading"] == reading


def test_few_texts_are_drawn_from_all_of_them():
    """Each of ten is among three as often as any other: 300 draws of 1,000, give or take five deviations of 14.5."""
    texts = [str(number) for number in range(10)]
    draws = [_drawn(iter(texts), 3, seed) for seed in range(1000)]
    assert all(len(draw) == 3 and draw == sorted(draw) for draw in draws)
    assert all(abs(sum(text in draw for draw in draws) - 300) < 73 for text in texts)
    assert _drawn(iter(texts), 10) == _drawn(iter(texts), 99) == texts


def test_a_sorted_file_gives_tokens_of_its_end_too(tmp_path):
    file = tmp_path / "sorted.jsonl"
    lines = [f"春夏秋冬{number}" for number in range(200)] + [f"elephants wander {number}" for number in range(200)]
    file.write_text("".join(json.dumps({"text": line}, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    made = jishi.tokenizer(data=str(file), out=str(tmp_path / "made"), kind="wordpiece", size=120, texts=100)
    assert made["reading"]["kept"] == 400 and {"han", "latin"} <= made["report"].keys()


def test_a_vocabulary_larger_than_the_texts_fill_is_refused(texts, tmp_path):
    with pytest.raises(ModelError, match=r"of 5000 was asked for, and these texts fill \d{3} of it; give more texts"):
        jishi.tokenizer(data=str(texts), out=str(tmp_path / "made"), size=5000)
    assert not (tmp_path / "made").exists()


def test_a_base_goes_on_with_a_vocabulary_that_went_on_from_its_own(texts, tmp_path):
    """The base is one of ours; its old rows stand, new texts have no unknown token, and the base that comes out has it all."""
    asked = {"objective": "masked-lm", "train": {"max_steps": 2, "precision": "fp32", "threads": 1}}
    old = jishi.tokenizer(data=str(texts), out=str(tmp_path / "old"), kind="wordpiece", size=64)
    design = {"name": "transformer-encoder", "size": "nano", "tokenizer": old["path"]}
    first = jishi.pretrain(data=str(texts), out=str(tmp_path / "first"), model=design, **asked)
    new = tmp_path / "new.jsonl"
    new.write_text("".join(json.dumps({"text": f"量子计算 quantum {n} zebra"}) + "\n" for n in range(60)))
    made = jishi.tokenizer({"data": str(new), "out": str(tmp_path / "grown"), "from": str(first.base), "size": 84})
    assert made["before"]["all"]["unknown"] > 0.3 and made["report"]["all"]["unknown"] == 0
    run = jishi.pretrain(
        data=str(new), out=str(tmp_path / "second"), model={"name": str(first.base), "tokenizer": made["path"]}, **asked
    )
    assert json.loads((run.base / "config.json").read_text())["vocab_size"] == made["size"] > old["size"]
    assert (
        AutoTokenizer.from_pretrained(run.base).get_vocab() == AutoTokenizer.from_pretrained(made["path"]).get_vocab()
    )
    other = jishi.tokenizer(data=str(new), out=str(tmp_path / "other"), size=300)
    for model in ({"tokenizer": other["path"]}, {"tokenizer": made["path"], "vocabulary": "corpus"}):
        with pytest.raises(ModelError, match="jishi tokenizer from="):
            jishi.pretrain(
                data=str(new),
                out=str(tmp_path / "third"),
                model={"name": str(first.base), **model},
                resume="never",
                **asked,
            )
    with pytest.raises(ModelError, match="keeps its kind"):
        jishi.tokenizer(data=str(new), out=str(tmp_path / "kind"), start=str(first.base), kind="unigram", size=84)
