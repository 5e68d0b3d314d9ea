"""From question and answer pairs to a search: trained, indexed, found, read again, and mined for what is confused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy
import pytest

import jishi
from jishi.core.errors import BundleError, DataError, RowError, UsageError
from jishi.lifecycle.search import Searcher, embed

FAQ = Path(__file__).parents[2] / "examples" / "data" / "faq"
TINY = {"model": {"name": "transformer-encoder", "size": "nano", "dropout": 0.0}, "seed": 0}
PLAIN = {"precision": "fp32", "threads": 1}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A bundle trained for a moment, and its index of answers."""
    pytest.importorskip("bm25s", reason="needs the extra retrieval")
    folder = tmp_path_factory.mktemp("faq")
    run = jishi.finetune(
        data=str(FAQ), out=str(folder / "run"), task="sentence-similarity",
        train={**PLAIN, "epochs": 60, "batch_size": 24, "learning_rate": 3e-3, "validate_every": 10**6}, **TINY,
    )  # fmt: skip
    made = jishi.index(run.bundle, FAQ / "train.jsonl", folder / "index")
    assert made["passages"] == 24
    return run, folder


def rows(part="train"):
    return [json.loads(line) for line in (FAQ / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_what_was_trained_finds_its_answers_and_the_bundle_is_held_to_its_probes(found):
    run, folder = found
    assert run.evaluation["metric"] == "mrr" and set(run.evaluation["rivals"]) == {"tf-idf cosine", "untuned"}
    assert run.evaluation["scores"]["mrr"]["value"] > run.evaluation["rivals"]["untuned"]["scores"]["mrr"]["value"]
    assert jishi.load(run.bundle).replay().flips == 0
    asked = rows()[:20]
    hits = jishi.search(folder / "index", [row["query"] for row in asked], k=1, by="vectors")
    right = [hit[0]["text"] == row["passage"] for hit, row in zip(hits, asked, strict=True)]
    assert sum(right) >= 15  # by chance 1; some of the rows were set aside to validate, and machines round differently
    assert hits[0][0]["row"]["passage"] == hits[0][0]["text"]


def test_vectors_are_of_length_one_and_the_cosine_of_a_pair_is_their_product(found):
    run, _ = found
    left, right = (jishi.embed(run.bundle, ["怎么退货"], side) for side in ("query", "passage"))
    assert numpy.linalg.norm(left) == pytest.approx(1, abs=1e-5)
    (pair,) = jishi.predict(run.bundle, [{"query": "怎么退货", "passage": "怎么退货"}])
    assert pair["similarity"] == pytest.approx(float((left @ right.T)[0, 0]), abs=1e-5)
    with pytest.raises(UsageError, match="side"):
        jishi.embed(run.bundle, ["x"], "left")


def test_words_vectors_and_both_are_three_searches(found):
    _, folder = found
    searcher = Searcher.load(folder / "index")
    words, vectors, both = (searcher.find(["电子 发票"], 3, by)[0] for by in ("words", "vectors", "hybrid"))
    assert "发票" in searcher.index.texts[words[0][0]]
    best = dict.fromkeys(range(24), 0.0)
    for ranking in (searcher.find(["电子 发票"], 50, by)[0] for by in ("words", "vectors")):
        for rank, (place, _) in enumerate(ranking, 1):
            best[place] += 1 / (60 + rank)
    assert both[0][1] == pytest.approx(max(best.values())) and vectors[0][1] <= 1
    with pytest.raises(UsageError, match="hybrid"):
        searcher.find(["x"], 3, "letters")
    with pytest.raises(UsageError, match="at least one"):
        searcher.find(["x"], 0)


def test_an_index_made_with_queries_takes_the_search_that_found_most(found, tmp_path):
    run, _ = found
    texts = ["苹果 香蕉", "轮船 火车", "猫 狗"]
    data, pairs = tmp_path / "passages.jsonl", tmp_path / "pairs.jsonl"
    lines(data, [{"passage": text} for text in texts])
    lines(pairs, [{"question": text.split()[0], "answer": text} for text in texts] + [{"query": "猫", "passage": "鸟"}])
    made = jishi.index(run.bundle, data, tmp_path / "index", queries=pairs)
    told = made["judged"]
    assert (told["queries"], told["left_out"]) == (3, 1)
    assert told["scores"]["words"] == {"mrr": 1, "recall@1": 1, "recall@5": 1, "recall@10": 1, "ndcg@10": 1}
    assert told["by"] == max(told["scores"], key=lambda by: told["scores"][by]["ndcg@10"])
    searcher = Searcher.load(tmp_path / "index")
    for by in ("words", "vectors", "hybrid"):
        record = {**searcher.index.record, "judged": {**told, "by": by}}
        chosen = Searcher(replace(searcher.index, record=record), searcher.predictor)
        assert chosen.find(["猫", "火车"], 3) == searcher.find(["猫", "火车"], 3, by)
    lines(pairs, [{"query": "猫", "passage": "鸟"}])
    with pytest.raises(DataError, match=r"pairs\.jsonl has query \+ passage"):
        jishi.index(run.bundle, data, tmp_path / "index", queries=pairs)


def lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def test_a_reranker_reads_query_and_passage_together(found, tmp_path):
    _, folder = found
    pairs = [{"text": row["query"], "text_pair": row["passage"], "label": "yes"} for row in rows()[:24]]
    pairs += [
        {**pair, "text_pair": other["text_pair"], "label": "no"} for pair, other in zip(pairs, pairs[::-1], strict=True)
    ]
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs), encoding="utf-8")
    judge = jishi.finetune(
        data=str(data), out=str(tmp_path / "judge"), train={**PLAIN, "max_steps": 2}, **TINY, task="text-classification"
    )
    reranker, searcher = jishi.load(judge.bundle), Searcher.load(folder / "index")
    (hits,) = searcher.search(["怎么退货"], 5, reranker=reranker, label="yes")
    said = reranker.predict([{"text": "怎么退货", "text_pair": text} for text in searcher.index.texts])
    expected = sorted((answer["scores"]["yes"] for answer in said), reverse=True)[:5]
    assert [hit["score"] for hit in hits] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UsageError, match="no, yes"):
        searcher.search(["x"], reranker=reranker)
    with pytest.raises(BundleError, match="gives no vectors"):
        embed(reranker, ["x"])
    with pytest.raises(BundleError, match="vectors of two models"):
        Searcher.load(folder / "index", judge.bundle)


def test_mined_negatives_are_wrong_and_can_be_trained_on(found, tmp_path):
    run, _ = found
    told = jishi.mine(run.bundle, FAQ / "train.jsonl", tmp_path / "hard.jsonl", count=2)
    mined = [json.loads(line) for line in (tmp_path / "hard.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    right = {(row["query"], row["passage"]) for row in rows()}
    assert told["rows"] == 72 and told["negatives"] == sum("negative" in row for row in mined) > 72
    assert not [row for row in mined if (row["query"], row.get("negative")) in right]
    answers = sorted({row["passage"] for row in rows()})
    held = dict(zip(answers, jishi.embed(run.bundle, answers, "passage"), strict=True))
    for row in mined[:10]:
        query = jishi.embed(run.bundle, [row["query"]], "query")[0]
        assert query @ held[row["negative"]] <= (query @ held[row["passage"]]) * 0.95 + 1e-5
    jishi.finetune(
        data={"train": str(tmp_path / "hard.jsonl"), "test": str(FAQ / "test.jsonl")}, out=str(tmp_path / "again"),
        task="sentence-similarity", train={**PLAIN, "max_steps": 1}, **TINY,
    )  # fmt: skip


def test_a_row_without_a_passage_is_named(found, tmp_path):
    run, _ = found
    data = tmp_path / "a.jsonl"
    data.write_text('{"passage": "甲"}\n{"title": "乙"}\n', encoding="utf-8")
    with pytest.raises(RowError, match=r"a\.jsonl:2"):
        jishi.index(run.bundle, data, tmp_path / "index")
