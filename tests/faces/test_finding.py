"""The verbs that give vectors and find passages: held to plain arithmetic on what the bundle says."""

import json
from pathlib import Path

import numpy
import pytest

import jishi
from commands import ask, below, jsonl, refusal

SAID = ["怎么退货", "开发票", "how to pay", "when will it come"]
REPLIES = ["七天内可以退货", "发票在订单里开", "pay by card", "it comes in three days", "七天内可以退货"]
PAIRS = [{"query": said, "passage": reply} for said, reply in zip(SAID, REPLIES, strict=False)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    rows = [{side: f"{text} {n}" for side, text in pair.items()} for pair in PAIRS for n in range(6)]  # no word is rare
    run = jishi.finetune(
        data=str(jsonl(folder / "pairs.jsonl", rows)), out=str(folder / "run"),
        task={"name": "sentence-similarity", "prefix": "how ", "passage_prefix": "card "},
        model={"name": "transformer-encoder", "size": "nano"},
        train={"max_steps": 2, "threads": 1, "precision": "fp32"},
    )  # fmt: skip
    return run.bundle


@pytest.fixture
def passages(tmp_path) -> Path:
    return jsonl(tmp_path / "passages.jsonl", [{"passage": reply, "number": n} for n, reply in enumerate(REPLIES)])


def told(*words):
    """One JSON document a line."""
    return [json.loads(line) for line in ask(*words).stdout.splitlines()]


def vectors(bundle, texts, side):
    return numpy.array(told("embed", bundle, *texts, "--side", side))


def test_embed_prints_a_unit_vector_a_line_that_of_python(bundle):
    found = {side: vectors(bundle, SAID, side) for side in ("text", "query", "passage")}
    for side, rows in found.items():
        assert len(rows) == 4 and numpy.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
        assert rows == pytest.approx(jishi.embed(bundle, SAID, side), abs=1e-6)
    assert abs(found["query"] - found["passage"]).max() > 1e-3  # each side has its prefix
    assert numpy.array(told("embed", bundle, *SAID)) == pytest.approx(found["text"], abs=1e-6)  # unless a side is named


def test_search_prints_what_the_products_of_the_vectors_say(bundle, passages):
    (made,) = [json.loads(ask("index", bundle, passages, "index").stdout)]
    distinct = list(dict.fromkeys(REPLIES))  # equal passages are one
    width = vectors(bundle, ["a"], "text").shape[1]
    assert made == {"index": "index", "passages": 4, "repeated": 1, "width": width}
    hits = told("search", "index", *SAID[:2], "--k", 3, "--by", "vectors")
    assert [hit["query"] for hit in hits] == [SAID[0]] * 3 + [SAID[1]] * 3
    for said, mine in zip(SAID[:2], (hits[:3], hits[3:]), strict=True):
        products = vectors(bundle, distinct, "passage") @ vectors(bundle, [said], "query")[0]
        order = numpy.argsort(-products, kind="stable")[:3]
        assert [hit["text"] for hit in mine] == [distinct[place] for place in order]
        assert [hit["score"] for hit in mine] == pytest.approx(products[order], abs=1e-5)
        assert all(hit["row"]["passage"] == hit["text"] for hit in mine)
    assert {hit["row"]["number"] for hit in hits} <= {0, 1, 2, 3}  # the first of equal rows stands for them


def test_search_by_words_and_by_both_are_other_searches(bundle, passages):
    pytest.importorskip("bm25s", reason="needs the extra retrieval")
    ask("index", bundle, passages, "index")
    assert [hit["text"] for hit in told("search", "index", "card pay", "--by", "words")] == ["pay by card"]
    both = told("search", "index", "card pay")  # unless told otherwise
    place = [hit["text"] for hit in told("search", "index", "card pay", "--by", "vectors")].index("pay by card")
    (hit,) = [hit for hit in both if hit["text"] == "pay by card"]
    assert hit["score"] == pytest.approx(1 / 61 + 1 / (61 + place)) and len(both) == 4


def test_an_index_finds_its_bundle_where_it_stands_now(bundle, passages, tmp_path):
    copy = tmp_path / "moved"
    copy.mkdir()
    for file in bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    ask("index", copy, passages, "index")
    before = told("search", "index", "pay", "--by", "vectors")
    copy.rename(tmp_path / "there")
    code, sentence = refusal("search", "index", "pay", "--by", "vectors")
    assert code == "core.bundle-not-found" and "moved" in sentence
    assert told("search", "index", "pay", "--by", "vectors", "--bundle", tmp_path / "there") == before


def test_index_takes_the_column_it_is_told_and_texts_that_are_alike(bundle, tmp_path):
    file = jsonl(tmp_path / "titles.jsonl", [{"title": said, "passage": "x"} for said in SAID])
    ask("index", bundle, file, "index", "--column", "title", "--alike")
    (hit,) = told("search", "index", SAID[2], "--k", 1, "--by", "vectors")
    assert hit["text"] == SAID[2] and hit["score"] == pytest.approx(1, abs=1e-5)
    assert json.loads(Path("index/index.json").read_text(encoding="utf-8"))["sides"] == ["text", "text"]


def test_mine_writes_the_nearest_wrong_passages(bundle, tmp_path):
    file = jsonl(tmp_path / "pairs.jsonl", PAIRS)
    counts = json.loads(ask("mine", bundle, file, "hard.jsonl", "--count", 2, "--margin", 0).stdout)
    mined = [json.loads(line) for line in Path("hard.jsonl").read_text(encoding="utf-8").splitlines()]
    table = vectors(bundle, SAID, "query") @ vectors(bundle, REPLIES[:4], "passage").T
    expected = []
    for place, row in enumerate(PAIRS):
        order = [other for other in numpy.argsort(-table[place]) if other != place]
        wrong = [REPLIES[other] for other in order if table[place, other] <= table[place, place]][:2]
        expected += [{**row, "negative": text} for text in wrong] or [row]
    assert mined == expected
    negatives = sum("negative" in row for row in expected)
    assert counts == {"rows": 4, "negatives": negatives, "without": sum("negative" not in row for row in expected)}


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_text_has_no_vector_and_finds_nothing(text, bundle, passages):
    ask("index", bundle, passages, "index")
    for words in (("embed", bundle, text), ("search", "index", text)):
        assert refusal(*words)[0] in ("tasks.no-sentence", "modalities.no-text")


def test_what_is_not_there_or_not_known_is_one_sentence(bundle, passages, tmp_path):
    for words in (("embed", "none", "x"), ("index", "none", passages, "out"), ("mine", "none", passages, "out")):
        code, sentence = refusal(*words)
        assert code == "core.bundle-not-found" and "none" in sentence
    code, sentence = refusal("search", "none", "x")
    assert code == "retrieval.no-index" and "jishi index" in sentence
    assert refusal("index", bundle, tmp_path / "none.jsonl", "out")[0] == "data.missing-path"
    assert refusal("embed", bundle, "x", "--side", "left", code=2)[0] == "core.unknown-name"
    ask("index", bundle, passages, "index")
    assert refusal("search", "index", "x", "--by", "letters", code=2)[0] == "core.unknown-name"
    assert refusal("search", "index", "x", "--k", 0, code=2)[0] == "retrieval.bad-k"
    assert below(Path.cwd()) == {"index", *(f"index/{name}" for name in below(Path("index")))}
