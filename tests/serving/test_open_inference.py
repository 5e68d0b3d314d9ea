"""The Open Inference Protocol: tensors in and out hold what the predictor reads and says."""

import json

import httpx
import pytest

import tiny
from asking import asking, run
from jishi.core import bundle
from jishi.predictor import Predictor, decision
from jishi.serving.access import Access
from jishi.serving.entries import Entry
from jishi.serving.limits import Limits
from jishi.serving.models import Models
from jishi.tasks.multiple_choice import MultipleChoice
from live import Servers

KEY = "a-long-enough-key"
LOCKED = Access(KEY)
SERVERS = Servers()
WORDS = "good bad fine movie the works well slow"
INFER = "/v2/models/reviews/infer"
TEXTS = ["good movie", "bad", "works well fine"]


def tensor(name, data, shape=None, datatype="BYTES", **rest):
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data, **rest}


@pytest.fixture(scope="module", autouse=True)
def servers():
    """One a predictor, for the whole module."""
    with SERVERS:
        yield


def ask(predictor, path=INFER, body=None, limits=None, access=None, **headers):
    """The response: to a GET where there is no body."""
    url = SERVERS.url(predictor, limits, access)
    if body is None:
        return httpx.get(url + path, headers=headers, timeout=30)
    return httpx.post(url + path, json=body, headers=headers, timeout=30)


def infer(predictor, *inputs, **rest):
    response = ask(predictor, body={"inputs": list(inputs), **rest})
    assert response.status_code == 200, response.text
    return response.json()


def by_name(found):
    return {output["name"]: output for output in found["outputs"]}


def refused(response, status, words):
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"} and words in response.json()["error"], response.text


# --- about ------------------------------------------------------------------------------------------------------------


def test_the_server_and_its_models_tell_of_themselves(predictor, similar):
    server = ask(predictor, "/v2").json()
    assert server["name"] == "jishi" and server["extensions"] == [] and server["version"]
    assert ask(predictor, "/v2/health/live").json() == {"live": True}
    assert ask(predictor, "/v2/health/ready").json() == {"ready": True}
    assert ask(predictor, "/v2/models/reviews/ready").json() == {"name": "reviews", "ready": True}
    told = ask(predictor, "/v2/models/reviews").json()
    assert (told["name"], told["platform"]) == ("reviews", "jishi_text-classification")
    assert told["versions"] == [bundle.read(predictor.path).fingerprint[:12]]
    assert told["inputs"] == [
        {"name": "text", "datatype": "BYTES", "shape": [-1]},
        {"name": "text_pair", "datatype": "BYTES", "shape": [-1]},
    ]
    assert [(output["name"], output["datatype"]) for output in told["outputs"]] == [
        ("label", "BYTES"), ("score", "FP64"), ("scores", "BYTES"), ("truncated", "BOOL"),
    ]  # fmt: skip
    vectors = {output["name"]: output for output in ask(similar, "/v2/models/reviews").json()["outputs"]}
    assert vectors["embedding"] == {"name": "embedding", "datatype": "FP32", "shape": [-1, -1]}


def test_a_model_that_failed_is_not_ready_and_one_that_waits_is(predictor):
    def fail():
        raise OSError("no such disk")

    models = Models([Entry("good", lambda: predictor), Entry("bad", fail), Entry("later", lambda: predictor)])

    async def asked():
        async with asking(models) as client:
            before = await client.get("/v2/models/bad/ready")
            await client.get("/v2/models/bad")
            return before, await client.get("/v2/models/bad/ready"), await client.get("/v2/models/later/ready")

    before, after, later = run(asked())
    assert before.status_code == later.status_code == 200
    refused(after, 503, "bad")


def test_health_needs_no_key_and_all_else_does(predictor):
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert ask(predictor, path, access=LOCKED).status_code == 200
    body = {"inputs": [tensor("text", ["good"])]}
    for path, given in (("/v2", None), ("/v2/models/reviews", None), ("/v2/models/reviews/ready", None), (INFER, body)):
        refused(ask(predictor, path, given, access=LOCKED), 401, "API key")
    assert ask(predictor, INFER, body, access=LOCKED, **{"x-api-key": KEY}).status_code == 200


def test_a_server_that_is_not_warm_is_not_ready(predictor):
    async def asked():
        async with asking(predictor) as client:
            client.models.ready = False
            return await client.get("/v2/health/ready"), await client.get("/v2/models/reviews/ready")

    for response in run(asked()):
        refused(response, 503, "warming up")


# --- infer ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "data"), [([3], TEXTS), ([3, 1], TEXTS), ([3, 1], [[text] for text in TEXTS])], ids=str
)
def test_answers_are_those_of_the_predictor(predictor, shape, data):
    found = infer(predictor, tensor("text", data, shape), id="42")
    assert found["model_name"] == "reviews" and found["id"] == "42"
    assert found["model_version"] == bundle.read(predictor.path).fingerprint[:12]
    outputs = by_name(found)
    own = predictor.predict(TEXTS)
    assert outputs["label"] == tensor("label", [one["label"] for one in own])
    assert outputs["score"] == tensor("score", pytest.approx([one["score"] for one in own], abs=1e-6), [3], "FP64")
    for told, mine in zip(outputs["scores"]["data"], own, strict=True):
        assert json.loads(told) == pytest.approx(mine["scores"], abs=1e-6)
    assert outputs["truncated"] == tensor("truncated", [False] * 3, datatype="BOOL")


def test_columns_are_put_together_row_by_row(predictor):
    others = ["bad", "fine", "slow movie"]
    found = infer(predictor, tensor("text_pair", others), tensor("text", TEXTS), outputs=[{"name": "score"}])
    own = predictor.predict([{"text": a, "text_pair": b} for a, b in zip(TEXTS, others, strict=True)])
    assert found["outputs"] == [tensor("score", pytest.approx([one["score"] for one in own], abs=1e-6), [3], "FP64")]
    assert "id" not in found


def test_what_was_cut_off_is_told(predictor):
    outputs = by_name(infer(predictor, tensor("text", ["good", "good " * 200])))
    assert outputs["truncated"]["data"] == [False, True]


def test_vectors_are_a_matrix(similar):
    outputs = by_name(infer(similar, tensor("text", TEXTS)))
    assert set(outputs) == {"embedding", "truncated"}
    vectors = [number for one in similar.predict(TEXTS) for number in one["embedding"]]
    assert outputs["embedding"] == tensor("embedding", pytest.approx(vectors, abs=1e-6), [3, 32], "FP32")
    pairs = by_name(infer(similar, tensor("text", ["good"]), tensor("text_pair", ["bad"])))
    assert set(pairs) == {"similarity", "truncated"} and pairs["similarity"]["datatype"] == "FP64"


def test_whole_numbers_and_lists_keep_their_kind(answerer):
    processor = tiny.tokenizer(WORDS)
    task = MultipleChoice(prefix="", max_length=32)
    chooser = Predictor(tiny.sequence_classifier(len(processor), num_labels=1), task, processor, {})
    choices = ["bad", "good", "slow"]
    outputs = by_name(infer(chooser, tensor("question", ["movie"]), tensor("choices", [json.dumps(choices)])))
    (own,) = chooser.predict([{"question": "movie", "choices": choices}])
    assert outputs["answer"] == tensor("answer", [own["answer"]], datatype="INT64")
    outputs = by_name(infer(answerer, tensor("question", ["who ran"]), tensor("context", ["Ann met Bob"])))
    (own,) = answerer.predict([{"question": "who ran", "context": "Ann met Bob"}])
    assert json.loads(outputs["start"]["data"][0]) == own["start"]
    assert decision(json.loads(outputs["candidates"]["data"][0])) == decision(own["candidates"])


def test_a_conversation_is_turns_as_json_or_what_the_user_says(writer):
    turns = [{"role": "system", "content": "be short"}, {"role": "user", "content": "hello"}]
    found = by_name(infer(writer, tensor("prompt", [json.dumps(turns), "hello"])))
    own = writer.predict([{"prompt": turns}, {"prompt": "hello"}])
    assert found["text"]["data"] == [one["text"] for one in own]
    assert found["complete"]["datatype"] == "BOOL"


# --- refusals ---------------------------------------------------------------------------------------------------------


TEXT = tensor("text", ["good"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, '"inputs" is missing'),
        ({"inputs": []}, '"inputs" can\'t be'),
        ({"inputs": [TEXT], "priority": 1}, 'no field "priority"'),
        ({"inputs": [tensor("txt", ["good"])]}, 'Did you mean "text"?'),
        ({"inputs": [TEXT, TEXT]}, "twice"),
        ({"inputs": [tensor("text", [1], datatype="INT64")]}, "reads BYTES"),
        ({"inputs": [tensor("text", [1])]}, "[n, 1]"),
        ({"inputs": [tensor("text", ["good"], [2])]}, "the shape [2]"),
        ({"inputs": [tensor("text", ["good", "bad"], [1, 2])]}, "the shape [1, 2]"),
        ({"inputs": [tensor("text", [["good", "bad"]], [1, 1])]}, "the shape [1, 1]"),
        ({"inputs": [tensor("text", [["good"]], [1])]}, "the shape [1]"),
        ({"inputs": [tensor("text", [], [0])]}, "the shape [0]"),
        ({"inputs": [TEXT, tensor("text_pair", ["a", "b"])]}, '"text_pair" has the shape [2]'),
        ({"inputs": [tensor("text_pair", ["good"])]}, "text"),
        ({"inputs": [TEXT], "outputs": [{"name": "scroe"}]}, 'Did you mean "score"?'),
        ({"inputs": [TEXT], "outputs": [{"name": "score"}, {"name": "score"}]}, "twice"),
        ({"inputs": [TEXT], "parameters": {"temperature": 1}}, "parameters.temperature=1"),
        ({"inputs": [TEXT], "outputs": [{"name": "score", "parameters": {"classification": 2}}]}, "classification=2"),
        ({"inputs": [{**TEXT, "parameters": {"content_type": "str"}}]}, "inputs.text.parameters.content_type"),
        ({"inputs": [TEXT], "parameters": {"binary_data_output": True}}, "not as binary data"),
        ({"inputs": [TEXT], "outputs": [{"name": "score", "parameters": {"binary_data": True}}]}, "binary data"),
    ],
    ids=str,
)
def test_what_can_not_be_honoured_is_refused_in_a_sentence(predictor, body, words):
    refused(ask(predictor, body=body), 400, words)


def test_binary_tensors_are_refused_and_asking_for_none_is_not(predictor):
    header = {"inference-header-content-length": "10"}
    refused(ask(predictor, body={"inputs": [TEXT]}, **header), 400, "not as binary data")
    plain = {"name": "label", "parameters": {"binary_data": False}}
    infer(predictor, TEXT, outputs=[plain], parameters={"binary_data_output": False})


def test_an_output_that_the_answer_lacks_is_refused(similar):
    body = {"inputs": [TEXT], "outputs": [{"name": "similarity"}]}
    refused(ask(similar, body=body), 400, 'has no "similarity"')


def test_a_conversation_that_is_no_json_or_no_turns_is_refused(writer):
    refused(ask(writer, body={"inputs": [tensor("prompt", ["[{"])]}), 400, "not valid JSON")
    nested = json.dumps([{"role": "user", "content": {"a": "b"}}])
    refused(ask(writer, body={"inputs": [tensor("prompt", [nested])]}), 400, "inputs[0].prompt[0]")


def test_limits_paths_and_languages_hold_here_too(predictor):
    many = {"inputs": [tensor("text", ["a"] * 3)]}
    refused(ask(predictor, body=many, limits=Limits(max_items=2)), 413, "too many")
    refused(ask(predictor, "/v2/models/review/infer", many), 404, 'Did you mean "reviews"?')
    refused(ask(predictor, "/v2/nowhere"), 404, "/openapi.json")
    refused(ask(predictor, INFER), 405, "GET")
    refused(ask(predictor, "/v2/models/review", **{"accept-language": "zh"}), 404, "没有名为")


def test_the_shapes_of_requests_refer_to_nothing_outside_them(predictor):
    found = ask(predictor, "/openapi.json").json()
    bodies = [path["post"]["requestBody"] for path in found["paths"].values() if "post" in path]
    assert len(bodies) == 9 and "$ref" not in json.dumps(bodies)
    tensors = found["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert tensors["properties"]["inputs"]["items"]["required"] == ["name", "shape", "datatype", "data"]
