"""The page to label in: only its own page may write, and it does what keys and clicks say."""

import asyncio
import contextlib
import json
import shutil
import threading

import httpx
import pytest
import uvicorn

from asking import refused, run
from jishi.core.errors import ServingError
from jishi.lifecycle.labelling import Labelling
from jishi.serving import labelling, page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
in_a_browser = [pytest.mark.page, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")]


def asked(folder, texts, scores, **guess):
    best = max(scores, key=scores.get)
    found = {
        "task": "text-classification",
        "label": best,
        "score": scores[best],
        "scores": scores,
        "by": "margin",
        **guess,
    }
    path = folder / "queue.jsonl"
    rows = [{"text": text, "guess": found} for text in texts]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def labels(path):
    file = path.with_name("queue.labelled.jsonl")
    return (
        [json.loads(line)["label"] for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    )


@pytest.fixture
def two(tmp_path):
    return asked(tmp_path, ["one", "two"], {"x": 0.7, "y": 0.3})


@contextlib.asynccontextmanager
async def client(path, **headers):
    with Labelling(path) as held:
        transport = httpx.ASGITransport(labelling.create(held))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8010", headers=headers) as found:
            yield found


def test_a_label_is_on_the_disk_when_the_answer_comes(two):
    async def label():
        async with client(two) as asking:
            assert (await asking.get("/api/v1/queue")).json()["row"]["place"] == 0
            answer = await asking.post("/api/v1/label", json={"place": 0, "labels": ["y"]})
            assert answer.json()["row"]["place"] == 1 and labels(two) == ["y"]
            refused(await asking.post("/api/v1/label", json={"place": 0, "labels": ["x"]}), 409, "label.not-open")
            assert (await asking.post("/api/v1/skip", json={"place": 1})).json()["row"] is None
            assert (await asking.post("/api/v1/undo", json={})).json()["skipped"] == 0
            assert (await asking.post("/api/v1/undo", json={})).json()["labelled"] == 0
            refused(await asking.post("/api/v1/undo", json={}), 409, "label.nothing-back")

    run(label())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"place": 0, "labels": ["z"]}, "label.other-label"),
        ({"place": 0, "labels": "x"}, "label.bad-request"),
        ({"place": True, "labels": ["x"]}, "label.bad-request"),
        ({"labels": ["x"]}, "label.bad-request"),
        ({"place": 0, "labels": ["x"], "more": 1}, "serving.unknown-field"),
        ([], "serving.body-shape"),
    ],
)
def test_what_the_page_would_not_send_is_refused(two, body, code):
    async def label():
        async with client(two) as asking:
            refused(await asking.post("/api/v1/label", json=body), 422, code)

    run(label())
    assert labels(two) == []


def test_no_other_site_can_write(two):
    async def label():
        async with client(two) as asking:
            send = {"url": "/api/v1/label", "json": {"place": 0, "labels": ["x"]}}
            for origin in ("http://elsewhere.example", "null", "https://127.0.0.1:8010", "http://127.0.0.1:9"):
                refused(await asking.post(**send, headers={"origin": origin}), 403, "label.other-origin")
            refused(await asking.post(**send, headers={"host": "elsewhere.example"}), 421, "serving.bad-host")
            plain = {"content": json.dumps(send["json"]), "headers": {"content-type": "text/plain"}}
            refused(await asking.post("/api/v1/label", **plain), 415, "serving.body-type")
            large = {"content": b" " * 70_000, "headers": {"content-type": "application/json"}}
            refused(await asking.post("/api/v1/label", **large), 413, "serving.body-too-large")
            assert labels(two) == []
            own = await asking.post(**send, headers={"origin": "http://127.0.0.1:8010"})
            assert own.status_code == 200 and "access-control-allow-origin" not in own.headers

    run(label())


def test_the_page_runs_its_own_script_alone(two):
    async def home():
        async with client(two) as asking:
            return await asking.get("/")

    answer = run(home())
    policy = answer.headers["content-security-policy"]
    assert policy == page.policy(page.LABEL) != page.policy() and "default-src 'none'" in policy
    assert "unsafe" not in policy and answer.headers["x-frame-options"] == "DENY"


def test_it_listens_on_loopback_until_it_is_stopped(two, monkeypatch):
    told, ran = [], []
    monkeypatch.setattr(labelling.uvicorn.Server, "run", lambda self, sockets: ran.append(sockets[0].getsockname()))
    labelling.label(two, None, 0, told.append)
    assert ran[0][0] == "127.0.0.1" and told == [f"http://127.0.0.1:{ran[0][1]}"]
    with pytest.raises(ServingError):
        labelling.label(two, None, 70_000)
    assert not two.with_name("queue.labelled.jsonl").exists()


@contextlib.contextmanager
def browsing(path, locale):
    """A page of a fresh browser on a queue, and what it complains of."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    complaints = []
    with Labelling(path) as held:
        server = uvicorn.Server(uvicorn.Config(labelling.create(held), port=0, log_level="warning", ws="none"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
        thread.start()
        while not server.started:
            thread.join(0.01)
        try:
            with playwright.sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                one = browser.new_context(locale=locale, viewport={"width": 390, "height": 844}).new_page()
                one.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
                one.on("pageerror", lambda error: complaints.append(str(error)))
                one.goto(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
                one.wait_for_selector("#labels button")
                yield one, complaints
                browser.close()
        finally:
            server.should_exit = True
            thread.join(20)


def see(one, text):
    one.wait_for_selector(f".text:has-text('{text}')")


@pytest.mark.page
@in_a_browser[1]
def test_keys_label_skip_and_take_back(tmp_path):
    path = asked(tmp_path, ["one <b>bold</b>", "two", "three"], {"x": 0.7, "y": 0.3})
    with browsing(path, "en-GB") as (one, complaints):
        assert one.text_content(".text") == "one <b>bold</b>" and one.locator(".text b").count() == 0
        assert one.locator("#labels .much").all_text_contents() == ["70.0%", "30.0%"]
        one.keyboard.press("2")
        see(one, "two")
        assert labels(path) == ["y"] and "2 to go" in one.text_content("#about")
        one.keyboard.press("s")
        see(one, "three")
        assert "1 skipped" in one.text_content("#about")
        one.keyboard.press("z")
        see(one, "two")
        one.locator("#labels button").first.click()
        see(one, "three")
        one.keyboard.press("3")  # there is no third label
        one.get_by_role("button", name="中文").click()
        assert "剩余 1" in one.text_content("#about")
        one.locator("#guess").uncheck()
        assert one.locator("#labels .much").count() == 0
        one.keyboard.press("1")
        one.wait_for_selector("#done:not([hidden])")
        assert "没有待标注" in one.text_content("#done") and labels(path) == ["y", "x", "x"]
        assert one.evaluate("document.documentElement.scrollWidth") == 390 and complaints == []


@pytest.mark.page
@in_a_browser[1]
def test_many_labels_are_found_by_typing_and_several_are_saved_together(tmp_path):
    scores = {f"label {n}": 0.9 - 0.05 * n if n else 0.01 for n in range(12)}
    path = asked(tmp_path, ["one", "two"], scores, labels=["label 1"])
    with browsing(path, "en-GB") as (one, complaints):
        assert one.locator("#labels .what").first.text_content() == "label 1"  # the likeliest first
        assert one.locator("#labels button[aria-pressed=true]").count() == 1
        one.keyboard.press("/")
        one.keyboard.type("el 11")
        assert one.locator("#labels button").count() == 1
        one.keyboard.press("Enter")
        one.keyboard.press("Escape")
        one.keyboard.press("Enter")
        see(one, "two")
        assert labels(path) == [["label 1", "label 11"]] and complaints == []


@pytest.mark.page
@in_a_browser[1]
def test_where_labels_are_digits_the_key_is_the_label(tmp_path):
    path = asked(tmp_path, ["one", "two"], {str(n): 0.1 for n in range(10)})
    with browsing(path, "zh-CN") as (one, complaints):
        one.keyboard.press("0")
        see(one, "two")
        assert labels(path) == ["0"] and complaints == []
