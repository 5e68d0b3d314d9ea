import asyncio
import dataclasses
import json
import threading

import pytest

from asking import JSON, Held, ask, asking, labels, refused, run
from jishi.core.errors import JishiError
from jishi.serving.access import Access
from jishi.serving.limits import Limits

KEY = "a-long-enough-key"


# --- answers ----------------------------------------------------------------------------------------------------------


def test_the_server_answers_as_the_predictor_does(predictor):
    async def scene():
        async with asking(predictor) as client:
            return (await ask(client, ["good movie", {"text": "bad", "text_pair": "not good"}])).json()

    answer = run(scene())
    direct = predictor.predict(["good movie", {"text": "bad", "text_pair": "not good"}])
    assert labels(answer["predictions"]) == labels(direct)
    for served, own in zip(answer["predictions"], direct, strict=True):
        assert served["score"] == pytest.approx(own["score"], abs=1e-6)
    assert answer["errors"] == 0 and answer["latency_ms"] > 0
    assert answer["model"].startswith("reviews") and len(answer["model"].partition("@")[2]) == 12


def test_a_single_input_needs_no_list(predictor):
    async def scene():
        async with asking(predictor) as client:
            return (await ask(client, "good")).json(), (await ask(client, {"text": "good"})).json()

    text, row = run(scene())
    assert text["predictions"] == row["predictions"] and len(text["predictions"]) == 1


def test_64_requests_at_once_are_answered_in_few_passes_as_one_by_one(predictor):
    texts = [" ".join(["good", "bad", "movie", "not"][index % 4 :] * (1 + index % 5)) for index in range(64)]

    async def scene():
        async with asking(predictor, Limits(max_wait_ms=50)) as client:
            answers = await asyncio.gather(*(ask(client, text) for text in texts))
            return answers, (await client.get("/metrics")).text

    answers, metrics = run(scene())
    assert {answer.status_code for answer in answers} == {200}
    for text, answer in zip(texts, answers, strict=True):
        served, own = answer.json()["predictions"][0], predictor.predict([text])[0]
        assert served["label"] == own["label"]
        assert served["score"] == pytest.approx(own["score"], abs=1e-5)
    passes = float(metrics.split("jishi_batch_rows_count ")[1].split("\n")[0])
    assert passes < 32


def test_a_bad_row_of_a_list_is_an_error_in_its_place(predictor):
    async def scene():
        async with asking(predictor) as client:
            return await ask(client, ["good", "", {"txt": "good"}])

    response = run(scene())
    first, empty, misspelt = response.json()["predictions"]
    assert response.status_code == 200 and response.json()["errors"] == 2
    assert "label" in first
    assert empty["error"]["code"] == "modalities.no-text"
    assert misspelt["error"]["code"] == "predictor.unknown-column" and "text" in misspelt["error"]["message"]


def test_a_row_that_breaks_the_model_is_an_internal_error_without_details(predictor, caplog):
    class Broken(Held):
        def answer(self, features):
            raise RuntimeError("secret detail")

    async def scene():
        async with asking(Broken(predictor)) as client:
            return await ask(client, "good")

    response = run(scene())
    refused(response, 500, "serving.internal")
    assert "secret" not in response.text


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_an_answer_that_takes_too_long_is_given_up(predictor):
    held = Held(predictor)
    held.gate.clear()

    async def scene():
        async with asking(held, Limits(timeout_s=0.2)) as client:
            response = await ask(client, "good")
            held.gate.set()
            return response

    response = run(scene())
    refused(response, 504, "serving.timeout")
    assert response.headers["retry-after"] == "1"


def test_a_full_queue_is_busy_and_says_when_to_come_back(predictor):
    held = Held(predictor)

    async def scene():
        async with asking(held, Limits(max_queue=2)) as client:
            held.gate.clear()
            first = asyncio.create_task(ask(client, "good"))
            await asyncio.to_thread(held.entered.wait, 5)
            waiting = asyncio.create_task(ask(client, ["a", "b"]))
            while client.models.depth < 2:
                await asyncio.sleep(0.005)
            busy = await ask(client, "one more")
            held.gate.set()
            return busy, await first, await waiting

    busy, first, waiting = run(scene())
    refused(busy, 503, "serving.busy")
    assert busy.headers["retry-after"] == "1"
    assert (first.status_code, waiting.status_code) == (200, 200)


def test_a_client_that_leaves_frees_its_place(predictor):
    held = Held(predictor)

    async def scene():
        async with asking(held) as client:
            held.gate.clear()
            first = asyncio.create_task(ask(client, "good"))
            await asyncio.to_thread(held.entered.wait, 5)
            status = await _leave_at_once(client, "bad")
            held.gate.set()
            return status, await first

    status, first = run(scene())
    assert status == 499 and first.status_code == 200
    assert held.answered == 1  # the row nobody waited for was never computed


async def _leave_at_once(client, text):
    """A request whose client is gone once its body is sent; the status nobody reads."""
    messages = [{"type": "http.request", "body": json.dumps({"inputs": text}).encode()}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/v1/predict",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
    await client.app(scope, receive, send)
    return sent[0]["status"]


def test_too_many_requests_of_a_client_are_told_to_wait(predictor):
    async def scene():
        async with asking(predictor, Limits(requests_per_second=0.5)) as client:
            return await ask(client, "good"), await ask(client, "good"), await client.get("/health")

    first, second, health = run(scene())
    assert (first.status_code, health.status_code) == (200, 200)
    refused(second, 429, "serving.rate")
    assert second.headers["retry-after"] == "2"


def test_with_a_key_only_the_page_and_the_probes_are_open(predictor):
    async def scene():
        async with asking(predictor, access=Access(KEY)) as client:
            closed = [await ask(client, "good"), await client.get("/api/v1/model"), await client.get("/metrics")]
            opened = [await client.get(path) for path in ("/", "/health", "/ready", "/openapi.json")]
            keyed = [
                await ask(client, "good", **{"x-api-key": KEY}),
                await ask(client, "good", authorization=f"Bearer {KEY}"),
            ]
            return closed, opened + keyed

    closed, opened = run(scene())
    for response in closed:
        refused(response, 401, "serving.unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"
    assert {response.status_code for response in opened} == {200}


def test_a_foreign_host_header_is_refused(predictor):
    async def scene():
        async with asking(predictor) as client:
            return await client.get("/", headers={"host": "evil.example"})

    refused(run(scene()), 421, "serving.bad-host")


def test_unknown_paths_and_methods_have_our_shape(predictor):
    async def scene():
        async with asking(predictor) as client:
            return await client.get("/docs"), await client.get("/api/v1/predict")

    missing, method = run(scene())
    refused(missing, 404, "serving.not-found")
    refused(method, 405, "serving.method")
    assert method.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("header", "start"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "没有输入"),
        ("en-GB", "There are no"),
        ("fr, zh;q=0.2, en;q=0.7", "There are no"),
        ("fr", "There are no"),
    ],
)
def test_a_refusal_speaks_the_language_of_the_client(predictor, header, start):
    async def scene():
        async with asking(predictor) as client:
            return await client.post("/api/v1/predict", json={}, headers={"accept-language": header})

    assert refused(run(scene()), 422, "serving.no-inputs")["message"].startswith(start)


# --- state ------------------------------------------------------------------------------------------------------------


def test_alive_at_once_ready_only_when_the_probes_were_replayed(predictor):
    class Slow(Held):
        def replay(self):
            self.gate.wait(5)
            return self.inner.replay()

    slow = Slow(predictor)
    slow.gate.clear()

    async def scene():
        async with asking(slow, ready=False) as client:
            early = await client.get("/health"), await client.get("/ready"), await ask(client, "good")
            slow.gate.set()
            while not client.models.ready:
                await asyncio.sleep(0.005)
            return early, (await client.get("/ready"), await ask(client, "good"))

    (health, unready, unanswered), late = run(scene())
    assert health.status_code == 200
    refused(unready, 503, "serving.not-ready")
    refused(unanswered, 503, "serving.not-ready")
    assert {response.status_code for response in late} == {200}


def listener():
    """What a server told when it had warmed up, the event that it did, and what to tell it to."""
    heard: list[JishiError | None] = []
    done = threading.Event()

    def warmed(error):
        heard.append(error)
        done.set()

    return heard, done, warmed


def test_a_model_that_answers_otherwise_than_recorded_never_becomes_ready(predictor):
    changed = [{**probe, "outputs": [value + 1 for value in probe["outputs"]]} for probe in predictor.probes]
    heard, done, warmed = listener()

    async def scene():
        async with asking(dataclasses.replace(predictor, probes=changed), ready=False, warmed=warmed) as client:
            await asyncio.to_thread(done.wait, 5)
            return await client.get("/ready"), await ask(client, "good")

    for response in run(scene()):
        refused(response, 503, "serving.not-ready")
    assert [error.code for error in heard] == ["core.probe-mismatch"]


def test_a_model_that_breaks_on_its_probes_is_told_and_never_becomes_ready(predictor):
    """Whatever goes wrong, not only what Jishi knows: a server that stays at 503 for ever tells nobody why."""

    class Broken(Held):
        def replay(self):
            raise RuntimeError("out of memory")

    heard, done, warmed = listener()

    async def scene():
        async with asking(Broken(predictor), ready=False, warmed=warmed) as client:
            await asyncio.to_thread(done.wait, 5)
            return await client.get("/ready")

    refused(run(scene()), 503, "serving.not-ready")
    assert [error.code for error in heard] == ["serving.warm-up-failed"]
    assert "RuntimeError: out of memory" in str(heard[0])


def test_metrics_count_requests_errors_rows_and_time(predictor):
    async def scene():
        async with asking(predictor) as client:
            await ask(client, ["good", "bad", ""])
            await client.post("/api/v1/predict", content=b"{", headers=JSON)
            await client.get("/wp-login.php")
            return (await client.get("/metrics")).text

    lines = run(scene()).splitlines()
    for line in (
        'jishi_requests_total{route="/api/v1/predict",status="200"} 1.0',
        'jishi_requests_total{route="/api/v1/predict",status="422"} 1.0',
        'jishi_requests_total{route="other",status="404"} 1.0',
        'jishi_errors_total{code="modalities.no-text"} 1.0',
        'jishi_errors_total{code="serving.bad-json"} 1.0',
        'jishi_request_seconds_count{route="/api/v1/predict"} 2.0',
        "jishi_batch_rows_sum 2.0",
        "jishi_queue_rows 0.0",
    ):
        assert line in lines


def test_the_model_tells_what_a_page_needs(predictor):
    async def scene():
        async with asking(predictor) as client:
            return (await client.get("/api/v1/model")).json()

    about = run(scene())
    assert about["columns"] == [
        {"name": "text", "modality": "text", "required": True, "binary": False},
        {"name": "text_pair", "modality": "text", "required": False, "binary": False},
    ]
    assert about["labels"] == ["negative", "positive"] and about["calibrated"] is True
    assert about["scores"]["accuracy"] == 0.9125
    assert 0 < len(about["examples"]) <= 6 and all("text" in example for example in about["examples"])


def test_openapi_describes_the_real_shapes(predictor):
    async def scene():
        async with asking(predictor) as client:
            return (await client.get("/openapi.json")).json()

    document = run(scene())
    predict = document["paths"]["/api/v1/predict"]["post"]
    asked = predict["requestBody"]["content"]["application/json"]["schema"]
    assert asked["required"] == ["inputs"] and asked["examples"] and asked["additionalProperties"] is False
    assert {"200", "401", "413", "422", "429", "503", "504"} <= set(predict["responses"])
    for status, response in predict["responses"].items():
        kind = "PredictResponse" if status == "200" else "ErrorResponse"
        assert response["content"]["application/json"]["schema"]["$ref"].endswith(kind)


def test_the_page_runs_nothing_but_its_own_script(predictor):
    async def scene():
        async with asking(predictor) as client:
            return await client.get("/")

    response = run(scene())
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert policy.count("'sha256-") == 2
    assert response.headers["x-content-type-options"] == "nosniff"
    assert (
        " src=" not in response.text
        and '<link rel="stylesheet"' not in response.text
        and "innerHTML" not in response.text
    )
