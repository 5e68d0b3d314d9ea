"""One real server on a loopback port: what only sockets, signals and processes can show."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from jishi.core.errors import BundleError, ServingError
from jishi.serving.limits import Limits
from jishi.serving.serve import serve
from jishi.serving.spec import ServeSpec

START = """
import sys
from jishi.serving.limits import Limits
from jishi.serving.serve import serve
from jishi.serving.spec import ServeSpec
serve(ServeSpec(sys.argv[1], port=0, isolate=True, limits=Limits(max_wait_ms=3000)), announce=lambda url: print(url, flush=True))
print("stopped", flush=True)
"""


@contextlib.contextmanager
def server(path):
    """A server in a process of its own, and its address."""
    command = [sys.executable, "-c", START, str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_a_stopped_server_finishes_what_it_was_asked(bundle_path):
    with server(bundle_path) as (process, url):
        assert httpx.get(f"{url}/ready").status_code == 200
        with ThreadPoolExecutor(8) as threads:
            waiting = [threads.submit(httpx.post, f"{url}/api/v1/predict", json={"inputs": "good"}) for _ in range(8)]
            while "jishi_requests_in_flight 9.0" not in httpx.get(f"{url}/metrics").text:  # the ninth is this one
                assert not any(request.done() for request in waiting)
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: what answers hears it too
            answers = [request.result(20) for request in waiting]
        assert {answer.status_code for answer in answers} == {200}
        assert process.stdout.readline().strip() == "stopped"
        assert process.wait(20) == 0


def refusal(spec, kind=ServingError):
    with pytest.raises(kind) as caught:
        serve(spec, announce=lambda url: pytest.fail(f"it listens on {url}"))
    return caught.value


def test_a_port_in_use_is_named_with_its_cure(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = refusal(ServeSpec(str(tmp_path), port=port))
    assert error.code == "serving.port-in-use"
    assert str(port) in str(error) and "another port" in str(error)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(tmp_path, port):
    assert refusal(ServeSpec(str(tmp_path), port=port)).code == "serving.bad-port"


def test_off_loopback_without_a_key_nothing_is_opened(tmp_path, monkeypatch):
    monkeypatch.delenv("JISHI_API_KEY", raising=False)
    assert refusal(ServeSpec(str(tmp_path), host="0.0.0.0", port=0)).code == "serving.key-required"


def test_a_damaged_bundle_is_not_served(bundle_path, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(bundle_path, copy)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert refusal(ServeSpec(str(copy), port=0), BundleError).code == "core.bundle-damaged"


def test_a_model_that_answers_otherwise_than_recorded_is_not_served(bundle_path, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(bundle_path, copy)
    lines = [json.loads(line) for line in (copy / "probes.jsonl").read_text(encoding="utf-8").splitlines()]
    lines[0]["outputs"][0] += 0.01
    (copy / "probes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    manifest = json.loads((copy / "MANIFEST.json").read_text(encoding="utf-8"))
    manifest["probes.jsonl"] = _sha256(copy / "probes.jsonl")
    (copy / "MANIFEST.json").write_text(json.dumps(manifest), encoding="utf-8")
    found = []
    thread = threading.Thread(
        target=lambda: found.append(refusal(ServeSpec(str(copy), port=0, limits=Limits()), BundleError))
    )
    thread.start()
    thread.join(30)
    assert [error.code for error in found] == ["core.probe-mismatch"]


def _sha256(path):
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
