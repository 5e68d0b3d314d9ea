"""Models in a process of their own: they answer as they would here, and when the process dies nothing else does."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from asking import refused
from jishi.core.errors import ServingError
from jishi.serving import entries, worker
from jishi.serving.limits import Limits
from jishi.serving.models import Models
from jishi.serving.serve import serve
from jishi.serving.spec import ServeSpec
from jishi.serving.worker import Worker
from live import live

CHAT, PREDICT = "/v1/chat/completions", "/api/v1/predict"
TURNS = [{"role": "user", "content": "hello"}]
VOLATILE = ("id", "created", "latency_ms")
FAIL_ON = """
import os
from jishi.serving import child, entries
reading = entries.reading
entries.reading = lambda path, *more: os.kill(os.getpid(), 9) if "{}" in str(path) else reading(path, *more)
child.main({{}})
"""


@contextlib.contextmanager
def isolated(paths, limits=None, memory=None):
    """A live server of bundles in a process of their own: its address and its models."""
    limits, given = limits or Limits(), entries.of(map(str, paths), "auto")
    with Worker(limits, "auto", given[0]) as home, live(Models(given, limits, memory, home)) as (url, models):
        yield url, models


@pytest.fixture(scope="module")
def paths(adapter_paths, bundle_path, writer_path, similar_path):
    return [f"reviews={bundle_path}", *adapter_paths, f"writer={writer_path}", f"similar={similar_path}"]


@pytest.fixture(scope="module")
def served(paths):
    with isolated(paths) as found:
        yield found


def pid(models):
    return models.home._line._process.pid


def ask(url, inputs, model=None):
    return httpx.post(url + PREDICT, json={"inputs": inputs, **({"model": model} if model else {})}, timeout=60)


def kill(models):
    os.kill(pid(models), signal.SIGKILL)


def until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def ready(url):
    return httpx.get(f"{url}/ready", timeout=30).status_code == 200


def plain(value):
    """An answer without what differs each time."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if key not in VOLATILE}
    return [plain(one) for one in value] if isinstance(value, list) else value


def told(response):
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
    return response.status_code, plain([json.loads(line) for line in lines] if lines else response.json())


def conversation(url):
    """What a server says to requests of every kind, good and bad."""
    posts = [
        (PREDICT, {"inputs": ["good movie", {"text": "bad", "text_pair": "fine"}]}),
        (PREDICT, {"inputs": ["good", "", {"txt": "good"}], "model": "colours"}),
        (PREDICT, {"inputs": "", "model": "sizes"}),
        (PREDICT, {"inputs": "good " * 9000}),
        (PREDICT, {"inputs": "good", "model": "colour"}),
        ("/classify", {"input": ["good", "bad movie"], "model": "tones"}),
        ("/v1/embeddings", {"input": ["good", "movie"], "model": "similar"}),
        ("/rerank", {"query": "good", "documents": ["bad", "movie"], "model": "similar"}),
        ("/v1/completions", {"prompt": ["hello", "bye"], "model": "writer"}),
        (CHAT, {"messages": TURNS, "model": "writer", "temperature": 1.5, "seed": 3}),
        (CHAT, {"messages": TURNS, "model": "writer", "stream": True, "stream_options": {"include_usage": True}}),
        (CHAT, {"messages": TURNS, "model": "writer", "stream": True, "temperature": 1, "top_p": 0.5, "stop": ["a"]}),
        (CHAT, {"messages": [{"role": "user", "content": ""}], "model": "writer", "stream": True}),
        (CHAT, {"messages": TURNS}),
        ("/v2/models/reviews/infer", {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]}]}),
    ]  # fmt: skip
    found = [told(httpx.post(url + path, json=asked, timeout=60)) for path, asked in posts]
    gets = ("/api/v1/models", "/api/v1/model", "/api/v1/models/writer", "/v2/models/similar", "/v1/models", "/ready")
    return found + [told(httpx.get(url + path, timeout=60)) for path in gets]


def test_all_is_answered_as_in_this_process(served, paths):
    with live(Models.of(map(str, paths), Limits(), None)) as (here, _):
        own = conversation(here)
    assert [status for status, _ in own[:15]] == [
        200, 200, 422, 413, 404, 200, 200, 200, 200, 200, 200, 200, 400, 400, 200,
    ]  # fmt: skip
    assert conversation(served[0]) == own


def test_killed_while_it_answers_it_refuses_and_answers_again(served, caplog):
    url, models = served
    before = ask(url, "good movie").json()["predictions"]
    first = pid(models)
    os.kill(first, signal.SIGSTOP)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(ask, url, "good movie") for _ in range(3)]
        until(lambda: len(models.home._line._waiting) >= 3)
        os.kill(first, signal.SIGKILL)
        for request in waiting:
            response = request.result(30)
            refused(response, 503, "serving.child-died")
            assert response.headers["retry-after"] == "1"
    refused(httpx.get(f"{url}/ready"), 503, "serving.not-ready")
    refused(ask(url, "good"), 503, "serving.not-ready")
    until(lambda: ready(url))
    assert pid(models) != first and ask(url, "good movie").json()["predictions"] == before
    assert ask(url, "good", "colours").status_code == 200
    assert "jishi_restarts_total 1.0" in httpx.get(f"{url}/metrics").text
    assert "SIGKILL" in caplog.text


def test_killed_while_it_streams_the_last_event_is_an_error(served, monkeypatch):
    url, models = served
    asked = {"messages": TURNS, "model": "writer", "stream": True}
    until(lambda: ready(url))
    whole = told(httpx.post(url + CHAT, json=asked, timeout=60))
    step, steps = worker.RemoteStream.step, []

    def dying(self):
        steps.append(1)
        if len(steps) == 4:
            kill(models)
        return step(self)

    with monkeypatch.context() as patched:
        patched.setattr(worker.RemoteStream, "step", dying)
        response = httpx.post(url + CHAT, json=asked, timeout=60)
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    assert response.status_code == 200 and "[DONE]" not in response.text
    assert events[-1]["error"]["code"] == "serving.child-died" and events[-1]["error"]["type"] == "server_error"
    assert len(events) > 1 and "choices" in events[0]
    until(lambda: ready(url))
    assert told(httpx.post(url + CHAT, json=asked, timeout=60)) == whole


def test_what_is_let_go_leaves_the_process_and_answers_again(adapter_paths):
    given = entries.of(map(str, adapter_paths), "auto")
    most = max(entries.held(given[:2]), entries.held(given[1:]), entries.held(given[::2]))  # two of the three
    with isolated(adapter_paths, memory=most) as (url, models):
        first = ask(url, "good movie", given[0].name).json()["predictions"]
        for entry in given[1:]:
            assert ask(url, "good movie", entry.name).status_code == 200
        httpx.get(f"{url}/metrics")  # has it look
        assert set(models.home._line.depths) == {entry.name for entry in given[1:]}
        assert ask(url, "good movie", given[0].name).json()["predictions"] == first


CRASHING = "import os; os.kill(os.getpid(), 11)  # {}"


def test_what_dies_again_and_again_while_it_reads_is_given_up_in_one_sentence(bundle_path, monkeypatch):
    begun = []
    monkeypatch.setattr(worker, "CODE", CRASHING)
    monkeypatch.setattr(
        Worker, "_begin", lambda self, *more, begin=Worker._begin: (begun.append(1), begin(self, *more))
    )
    with pytest.raises(ServingError) as caught:
        serve(
            ServeSpec(str(bundle_path), port=0, isolate=True), announce=lambda url: pytest.fail(f"it listens on {url}")
        )
    assert caught.value.code == "serving.child-given-up" and "SIGSEGV" in str(caught.value)
    assert len(begun) == worker.TRIES == 3


def test_a_model_that_kills_the_process_is_given_up_alone(adapter_paths, monkeypatch):
    monkeypatch.setattr(worker, "CODE", FAIL_ON.format("/sizes/"))
    with isolated(adapter_paths[:2]) as (url, _):
        own = ask(url, "good").json()["predictions"]
        refused(ask(url, "good", "sizes"), 503, "serving.model-refused")
        until(lambda: ready(url))
        assert ask(url, "good").json()["predictions"] == own
        refused(ask(url, "good", "sizes"), 503, "serving.model-refused")
        assert "jishi_restarts_total 3.0" in httpx.get(f"{url}/metrics").text  # the last for what was there before


def test_where_the_server_is_killed_its_process_ends_by_itself(bundle_path):
    code = "import sys; from jishi.serving.serve import serve; from jishi.serving.spec import ServeSpec; "
    code += "serve(ServeSpec(sys.argv[1], port=0, isolate=True), announce=lambda url: print(url, flush=True))"
    with subprocess.Popen([sys.executable, "-c", code, str(bundle_path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().startswith("http")
            (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text()
            assert "torch" in Path(f"/proc/{child}/maps").read_text()
        finally:
            process.kill()
    until(lambda: not Path(f"/proc/{child}/maps").exists() or not Path(f"/proc/{child}/maps").read_text(), 10)
