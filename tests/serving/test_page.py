"""The page, driven in a headless browser against a real server."""

import asyncio
import contextlib
import shutil
import threading

import pytest
import uvicorn

from asking import one
from jishi.serving.app import create
from jishi.serving.limits import Limits
from jishi.serving.models import Models

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
pytestmark = [pytest.mark.page, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")]


@contextlib.contextmanager
def served(answers):
    ready = threading.Event()
    server = uvicorn.Server(
        uvicorn.Config(
            create(answers if isinstance(answers, Models) else one(answers), warmed=lambda _: ready.set()),
            port=0,
            log_level="warning",
            ws="none",
        )
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    assert ready.wait(30)
    while not server.started:
        ready.wait(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def browsing(locale, **options):
    """A page of a fresh browser, and what it complains of."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    complaints = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(locale=locale, **options).new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page, complaints
        browser.close()


def test_one_types_a_sentence_and_sees_label_confidence_and_latency(predictor):
    text = "good movie <b>not</b> bad"
    expected = predictor.predict([text])[0]
    with served(predictor) as url, browsing("en-GB") as (page, complaints):
        page.goto(url)
        page.get_by_label("text", exact=True).fill(text)
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".label")
        assert page.text_content(".label") == expected["label"]
        assert page.text_content(".sure") == f"{expected['score'] * 100:.1f}%"
        assert " ms" in page.text_content(".time")
        assert page.locator(".bars li").count() == 2
        assert expected["label"] in page.text_content("[aria-live]")
        assert text.replace("'", "") in page.text_content("#curl")
        assert page.locator("b", has_text="not").count() == 0  # what is typed is never markup

        page.get_by_role("button", name="中文").click()
        assert page.get_attribute("html", "lang") == "zh-CN"
        assert page.text_content("#go") == "预测" and "毫秒" in page.text_content(".time")
        page.reload()
        page.wait_for_selector("#ask:not([hidden])")
        assert page.text_content("#go") == "预测"  # the choice is remembered
        assert complaints == []


def test_several_models_are_tried_one_by_one(adapter_paths):
    models = Models.of([str(path) for path in adapter_paths], Limits(), None)
    with served(models) as url, browsing("en-GB") as (page, complaints):
        page.goto(url)
        page.wait_for_selector("#ask:not([hidden])")
        assert page.text_content("#model") == page.text_content("[aria-current]") == "colours"
        page.get_by_role("link", name="sizes").click()
        page.wait_for_selector("#ask:not([hidden])")
        assert page.text_content("#model") == page.text_content("[aria-current]") == "sizes"
        page.get_by_label("text", exact=True).fill("good")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".label")
        assert page.text_content(".label").startswith("sizes-")
        assert '"model":"sizes"' in page.text_content("#curl")
        assert complaints == []


def test_an_example_is_one_click_and_a_chinese_phone_reads_chinese(predictor):
    with served(predictor) as url, browsing("zh-CN", viewport={"width": 390, "height": 844}) as (page, complaints):
        page.goto(url)
        page.locator(".examples button").nth(0).click()
        page.wait_for_selector(".label")
        page.locator(".examples button").nth(1).click()
        page.wait_for_selector("#recent li >> nth=1")
        assert page.text_content("#go") == "预测"
        assert page.evaluate("document.documentElement.scrollWidth") == 390  # nothing sticks out
        assert complaints == []


def test_an_empty_sentence_is_answered_with_a_word_not_a_request(predictor):
    with served(predictor) as url, browsing("en-GB") as (page, complaints):
        page.goto(url)
        page.wait_for_selector("#ask:not([hidden])")
        page.locator("#go").click()
        assert page.text_content(".problem") == "Write something first."
        assert complaints == []


def test_an_answer_is_marked_in_its_text(answerer):
    """Places are characters, which a browser counts otherwise beyond the basic plane; what is typed is never markup."""
    question, text = "who ran", "😀 Ann <b>met</b> Bob"
    expected = answerer.predict([{"question": question, "context": text}])[0]
    with served(answerer) as url, browsing("en-GB") as (page, complaints):
        page.goto(url)
        page.get_by_label("question", exact=True).fill(question)
        page.get_by_label("context", exact=True).fill(text)
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".marked mark")
        assert page.text_content(".marked") == text
        assert page.text_content(".marked mark") == page.text_content(".label") == expected["answer"] == "Bob"
        assert page.locator(".bars li").count() == len(expected["candidates"])
        assert complaints == []
