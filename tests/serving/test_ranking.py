"""Labels, scores and orders by the protocols of vLLM, Jina and Cohere: hand-worked, and as the predictor says."""

import dataclasses

import httpx
import numpy
import pytest

import tiny
from jishi.predictor import Predictor
from jishi.serving.access import Access
from jishi.serving.entries import Entry
from jishi.serving.limits import Limits
from jishi.serving.models import Models
from jishi.tasks.text_classification import TextClassification
from live import Servers

KEY = "a-long-enough-key"
LOCKED = Access(KEY)
SERVERS = Servers()
WORDS = "good bad fine movie the works well slow"
LABELS = ["negative", "positive"]
VECTORS = {"q": [3.0, 4.0], "near": [4.0, 3.0], "across": [-4.0, 3.0], "same": [6.0, 8.0], "against": [-3.0, -4.0]}


class Told:
    """A predictor of a task whose answers are given; it remembers the rows it was asked."""

    def __init__(self, inner, answer):
        self.inner = inner
        self.told = answer
        self.rows = []

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def replay(self):
        pass

    def encode(self, row):
        self.rows.append(dict(row))
        return {"row": row, "length": 5}

    def answer(self, features):
        return [self.told(one["row"]) for one in features]


@pytest.fixture(scope="module")
def judge():
    """A tiny model that gives a pair a number."""
    processor = tiny.tokenizer(WORDS)
    model = tiny.sequence_classifier(len(processor), num_labels=1)
    task = TextClassification(problem="regression", pairs="always", prefix="", max_length=64, mean=2.5, deviation=40.0)
    return Predictor(model, task, processor, {})


@pytest.fixture(scope="module")
def tagger():
    """A tiny model that gives several labels."""
    processor = tiny.tokenizer(WORDS)
    model = tiny.sequence_classifier(len(processor), num_labels=3)
    task = TextClassification(problem="multi", labels=("a", "b", "c"), prefix="", max_length=64, threshold=0.0)
    return Predictor(model, task, processor, {})


@pytest.fixture(scope="module", autouse=True)
def servers():
    """One a predictor, for the whole module."""
    with SERVERS:
        yield


def post(predictor, path, limits=None, access=None, headers=None, **body):
    return httpx.post(SERVERS.url(predictor, limits, access) + path, json=body, headers=headers, timeout=30)


def answered(*given, **body):
    response = post(*given, **body)
    assert response.status_code == 200, response.text
    return response.json()


def refused(response, status, code, words=""):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["code"] == code, error
    assert words in error["message"]
    return error


# --- classify ---------------------------------------------------------------------------------------------------------


def test_labels_are_those_of_the_predictor(predictor):
    texts = ["good movie", "bad", "works well fine"]
    found = answered(predictor, "/classify", input=texts)
    assert found["object"] == "list" and found["model"].startswith("reviews@") and found["classes"] == LABELS
    for place, (one, own) in enumerate(zip(found["data"], predictor.predict(texts), strict=True)):
        assert (one["index"], one["label"], one["num_classes"]) == (place, own["label"], 2)
        assert one["probs"] == pytest.approx([own["scores"][name] for name in LABELS], abs=1e-6)
    assert found["usage"]["prompt_tokens"] == 4 + 3 + 5
    assert answered(predictor, "/classify", input="bad")["data"][0]["label"] == predictor.predict(["bad"])[0]["label"]


def test_of_several_labels_the_likeliest_is_the_label(tagger):
    told = Told(tagger, lambda row: {"labels": ["a", "b"], "scores": {"a": 0.5, "b": 0.9, "c": 0.1}})
    (one,) = answered(told, "/classify", input="x")["data"]
    assert one == {"index": 0, "label": "b", "labels": ["a", "b"], "probs": [0.5, 0.9, 0.1], "num_classes": 3}
    (real,) = answered(tagger, "/classify", input="good")["data"]
    assert real["labels"] == ["a", "b", "c"] == tagger.predict(["good"])[0]["labels"]


# --- rerank and score -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank"])
def test_documents_are_ordered_by_their_cosine(similar, path):
    told = Told(similar, lambda row: {"embedding": VECTORS[next(iter(row.values()))]})
    documents = ["across", {"text": "near"}, "against", "same"]
    found = answered(told, path, query="q", documents=documents, top_n=3)
    scores = [(one["index"], one["relevance_score"], one["document"]["text"]) for one in found["results"]]
    assert scores == [
        (3, pytest.approx(1.0), "same"),
        (1, pytest.approx(0.96), "near"),
        (0, pytest.approx(0.0), "across"),
    ]
    assert told.rows[0] == {"query": "q"} and told.rows[1:] == [
        {"passage": text} for text in ("across", "near", "against", "same")
    ]
    assert found["usage"]["total_tokens"] == 25
    bare = answered(told, path, query="q", documents=documents, return_documents=False)["results"]
    assert [one["index"] for one in bare] == [3, 1, 0, 2] and "document" not in bare[0]


def test_equal_documents_keep_their_order(similar):
    told = Told(similar, lambda row: {"embedding": [1.0, 0.0]})
    found = answered(told, "/rerank", query="q", documents=["c", "a", "b"])
    assert [one["index"] for one in found["results"]] == [0, 1, 2]


def test_a_query_and_passages_are_each_made_vectors_of_as_such(similar):
    documents = ["good movie", "bad", "the movie works"]
    found = answered(similar, "/rerank", query="fine movie", documents=documents)
    own = [similar.predict([{"query": "fine movie", "passage": document}])[0]["similarity"] for document in documents]
    by_place = {one["index"]: one["relevance_score"] for one in found["results"]}
    assert [by_place[place] for place in range(3)] == pytest.approx(own, abs=1e-5)
    assert [one["index"] for one in found["results"]] == numpy.argsort(own)[::-1].tolist()


def test_one_text_is_compared_with_each_and_many_each_with_its_own(similar):
    told = Told(similar, lambda row: {"embedding": VECTORS[row["text"]]})
    found = answered(told, "/score", text_1="q", text_2=["near", "across"])
    assert [(one["index"], one["object"]) for one in found["data"]] == [(0, "score"), (1, "score")]
    assert [one["score"] for one in found["data"]] == pytest.approx([0.96, 0.0])
    found = answered(told, "/score", text_1=["q", "near"], text_2=["against", "across"])
    assert [one["score"] for one in found["data"]] == pytest.approx([-1.0, -7 / 25])
    own = similar.predict([{"text": "good", "text_pair": "bad movie"}])[0]["similarity"]
    (one,) = answered(similar, "/score", text_1="good", text_2="bad movie")["data"]
    assert one["score"] == pytest.approx(own, abs=1e-5)


def test_a_vector_without_direction_is_like_none(similar):
    told = Told(similar, lambda row: {"embedding": {"q": [3.0, 4.0], "nothing": [0.0, 0.0]}[row["text"]]})
    assert answered(told, "/score", text_1="q", text_2=["nothing", "q"])["data"][0]["score"] == 0


def test_a_model_that_judges_pairs_gives_its_own_number(judge):
    documents = ["bad", "good movie", "the slow movie"]
    own = [one["value"] for one in judge.predict([{"text": "fine", "text_pair": text} for text in documents])]
    assert len({round(value, 3) for value in own}) == 3
    found = answered(judge, "/score", text_1="fine", text_2=documents)
    assert [one["score"] for one in found["data"]] == pytest.approx(own, abs=1e-4)
    found = answered(judge, "/rerank", query="fine", documents=documents)
    assert [one["index"] for one in found["results"]] == numpy.argsort(own)[::-1].tolist()


def test_a_model_that_gives_labels_to_pairs_is_told_which(predictor):
    own = predictor.predict([{"text": "fine", "text_pair": "bad"}])[0]["scores"]
    for label in LABELS:
        (one,) = answered(predictor, "/score", text_1="fine", text_2="bad", label=label)["data"]
        assert one["score"] == pytest.approx(own[label], abs=1e-6)
    refused(post(predictor, "/score", text_1="a", text_2="b"), 400, "serving.which-label", "negative, positive")
    refused(post(predictor, "/rerank", query="a", documents=["b"], label="good"), 400, "serving.which-label")


# --- texts that were cut off ------------------------------------------------------------------------------------------


def cut(items):
    """Of each item whether it says so: nothing is told of one that was read whole."""
    return [one.get("truncated") for one in items]


def test_labels_tell_where_a_text_was_cut_off(predictor):
    found = answered(predictor, "/classify", input=["good", "good " * 80, "bad"])
    assert cut(found["data"]) == [None, True, None]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank"])
def test_an_order_tells_which_documents_were_cut_off(similar, path):
    documents = ["good movie", "bad " * 40, "the movie"]
    found = answered(similar, path, query="fine movie", documents=documents)["results"]
    assert {one["index"]: one.get("truncated") for one in found} == {0: None, 1: True, 2: None}
    assert cut(answered(similar, path, query="fine " * 40, documents=documents)["results"]) == [True] * 3


def test_a_score_tells_where_one_of_its_texts_was_cut_off(similar, judge):
    long = "good " * 80
    for model in (similar, judge):
        assert cut(answered(model, "/score", text_1="fine", text_2=["bad", long])["data"]) == [None, True]
        assert cut(answered(model, "/score", text_1=long, text_2=["bad", "good"])["data"]) == [True, True]
        assert cut(answered(model, "/score", text_1=["a", long], text_2=["bad", "good"])["data"]) == [None, True]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "field", "code"),
    [
        ("/rerank", {"documents": ["a"]}, "query", "serving.field-missing"),
        ("/rerank", {"query": "a", "documents": []}, "documents", "serving.bad-field"),
        ("/rerank", {"query": "a", "documents": [{"text": "a", "image": "b"}]}, "documents", "serving.bad-field"),
        ("/rerank", {"query": "a", "documents": ["b"], "top_n": 0}, "top_n", "serving.bad-field"),
        ("/v1/rerank", {"query": "a", "documents": ["b"], "topn": 1}, None, "serving.unknown-field"),
        ("/score", {"text_1": [1, 2], "text_2": "a"}, "text_1", "serving.token-ids"),
        ("/score", {"text_1": "a", "text_2": "b", "label": "x"}, "label", "serving.unsupported"),
        ("/score", {"text_1": ["a", "b"], "text_2": ["a"]}, None, "serving.uneven"),
        ("/classify", {"input": [1, 2]}, "input", "serving.token-ids"),
    ],
)
def test_what_can_not_be_honoured_is_refused_by_name(similar, path, body, field, code):
    assert refused(post(similar, path, **body), 400, code)["param"] == field


def test_a_model_that_is_asked_the_wrong_way_says_where_to_ask(predictor, similar, writer, judge):
    wrong = "serving.not-asked-so"
    refused(post(similar, "/classify", input="a"), 400, wrong, "/v1/embeddings, /rerank, /score, /api/v1/predict")
    refused(post(judge, "/classify", input="a"), 400, wrong, "/rerank, /score, /api/v1/predict")
    refused(post(writer, "/score", text_1="a", text_2="b"), 400, wrong, "/v1/completions")
    alone = dataclasses.replace(predictor, task=dataclasses.replace(predictor.task, pairs="never"))
    refused(post(alone, "/v1/rerank", query="a", documents=["b"]), 400, wrong, "at /classify, /api/v1/predict")


def test_more_than_the_limits_allow_is_too_large(similar):
    few = Limits(max_items=2)
    for path, body in {
        "/rerank": {"query": "a", "documents": ["a"] * 3},
        "/score": {"text_1": "a", "text_2": ["a"] * 3},
        "/classify": {"input": ["a"] * 3},
    }.items():
        refused(post(similar, path, few, **body), 413, "serving.too-many-items")


def test_without_the_key_nothing_is_told(similar):
    body = {"query": "good", "documents": ["bad"]}
    for path in ("/rerank", "/v1/rerank", "/score", "/classify"):
        refused(post(similar, path, access=LOCKED, **body), 401, "serving.unauthorized")
    assert post(similar, "/rerank", access=LOCKED, headers={"x-api-key": KEY}, **body).status_code == 200


def test_a_model_is_asked_by_its_name(predictor, similar):
    both = Models([Entry("similar", lambda: similar), Entry("reviews", lambda: predictor)])
    assert answered(both, "/classify", input="good", model="reviews")["model"].startswith("reviews@")
    refused(post(both, "/classify", input="good", model="review"), 404, "serving.unknown-model", "reviews")
