"""Whole answers share every step with each other and with streams, and each is what the predictor says alone."""

import asyncio
import contextlib
import dataclasses
import json
import threading
import time

import httpx
import pytest

from asking import asking, run
from jishi.models import together
from jishi.models.decoding import Decoding
from jishi.serving.limits import Limits
from live import live

CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"
MANY = 12  # tokens of an answer of the writer


def turns(text, **options):
    return {"messages": [{"role": "user", "content": text}], **options}


def own(writer, row, **changes):
    decoding = dataclasses.replace(writer.task.decoding, **changes)
    return writer.writing(decoding).predict([row])[0]["text"]


@contextlib.contextmanager
def counted(writer, held=lambda call: True):
    """The calls of the model; each waits until `held(its number)` is true."""
    calls = []

    def hook(*_):
        calls.append(1)
        assert _until(lambda: held(len(calls)))

    handle = writer.model.register_forward_pre_hook(hook)
    try:
        yield calls
    finally:
        handle.remove()


def _until(holds):
    for _ in range(2000):
        if holds():
            return True
        time.sleep(0.005)
    return False


def test_answers_of_one_request_share_every_step(writer):
    """Their prompts are read in one call, which writes the first tokens; eleven more write the rest of all."""
    texts = ["hello", "bye", "and now"]

    async def go():
        async with asking(writer) as client:
            with counted(writer) as calls:
                answer = (await client.post(PLAIN, json={"prompt": texts})).json()
            return answer, len(calls)

    answer, calls = run(go())
    assert [choice["text"] for choice in answer["choices"]] == [own(writer, {"text": text}) for text in texts]
    assert answer["usage"]["completion_tokens"] == 3 * MANY
    assert calls == MANY


def test_answers_that_are_to_be_written_otherwise_share_the_steps_too(writer):
    """Each way of writing reads its prompts in a call of its own; the steps of all are shared."""
    drawn = {"temperature": 1.5, "seed": 3}
    ways = [{}, {"max_tokens": 5}, drawn, {"max_tokens": 7, **drawn}]
    changes = [{}, {"max_new_tokens": 5}]
    changes += [{"method": "sampling", **drawn}, {"method": "sampling", "max_new_tokens": 7, **drawn}]

    async def go():
        async with asking(writer) as client:
            service = client.models.entries[0].service
            with counted(writer, lambda call: call > 1 or service.model.batcher.depth == 3) as calls:
                first = asyncio.create_task(client.post(CHAT, json=turns("hello", **ways[0])))
                while not calls:
                    await asyncio.sleep(0.001)
                rest = [client.post(CHAT, json=turns("hello", **way)) for way in ways[1:]]
                found = [answer.json() for answer in await asyncio.gather(first, *rest)]
            return found, len(calls)

    found, calls = run(go())
    said = [one["choices"][0]["message"]["content"] for one in found]
    assert said == [own(writer, {"prompt": turns("hello")["messages"]}, **change) for change in changes]
    assert [one["usage"]["completion_tokens"] for one in found] == [MANY, 5, MANY, 7]
    # The first reads, writes a token and waits; it has eleven steps to go, or ten once those that came have joined.
    assert calls <= len(ways) + MANY


def test_a_short_answer_that_was_asked_later_ends_first(writer):
    ended = []

    async def go():
        async with asking(writer) as client:
            service = client.models.entries[0].service

            async def ask(name, **options):
                answer = (await client.post(CHAT, json=turns(name, **options))).json()
                ended.append(name)
                return answer["choices"][0]["message"]["content"]

            with counted(writer, lambda call: call != 3 or service.model.batcher.depth) as calls:
                long = asyncio.create_task(ask("long"))
                while len(calls) < 3:
                    await asyncio.sleep(0.001)
                short = asyncio.create_task(ask("short", max_tokens=2))
                return await asyncio.gather(long, short)

    said = run(go())
    assert ended == ["short", "long"]
    assert said == [
        own(writer, {"prompt": turns(name)["messages"]}, max_new_tokens=count)
        for name, count in (("long", MANY), ("short", 2))
    ]


def test_a_stream_and_a_whole_answer_share_their_steps(writer):
    """Neither waits for the other, and twelve tokens of two answers take fewer calls than of each by itself."""
    with live(writer) as (url, models), counted(writer, lambda call: call != 3 or service.model.batcher.depth) as calls:
        service = models.entries[0].service
        with httpx.stream("POST", f"{url}{CHAT}", json=turns("hello", stream=True), timeout=30) as stream:
            lines = stream.iter_lines()
            next(line for line in lines if "content" in line)
            assert httpx.get(f"{url}/health", timeout=30).status_code == 200
            whole = httpx.post(f"{url}/api/v1/predict", json={"inputs": "bye"}, timeout=30).json()
            events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert whole["predictions"][0]["text"] == writer.predict(["bye"])[0]["text"]
    said = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    assert own(writer, {"prompt": turns("hello")["messages"]}).endswith(said) and said
    assert len(calls) <= MANY + 1 + 3  # the steps of one, the other's prompt, and those before it came


def test_a_client_that_goes_away_leaves_the_steps_to_the_others(writer):
    free = threading.Event()
    with live(writer) as (url, models), counted(writer, lambda call: call < 3 or free.is_set()) as calls:
        service = models.entries[0].service
        answers = []
        with httpx.Client(timeout=30) as client:
            stays = threading.Thread(
                target=lambda: answers.append(client.post(f"{url}{CHAT}", json=turns("hello", max_tokens=6)).json())
            )
            stays.start()
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{url}{CHAT}", json=turns("never heard"), timeout=0.3)
            assert _until(lambda: models.entries[0].users == 1)
            free.set()
            stays.join(30)
        assert _until(lambda: not service.model.batcher._open and not together._of[writer.model].groups)
    assert answers[0]["choices"][0]["message"]["content"] == own(
        writer, {"prompt": turns("hello")["messages"]}, max_new_tokens=6
    )
    assert len(calls) <= 3 + 6 and answers[0]["usage"]["completion_tokens"] == 6


def test_an_answer_that_takes_too_long_is_given_up_and_not_gone_on_with(writer):
    async def go():
        free = threading.Event()
        async with asking(writer, Limits(timeout_s=0.2)) as client:
            with counted(writer, lambda call: call < 3 or free.is_set()) as calls:
                answer = await client.post(CHAT, json=turns("hello"))
                free.set()
                service = client.models.entries[0].service
                while service.model.batcher._open:
                    await asyncio.sleep(0.001)
            return answer, len(calls)

    answer, calls = run(go())
    assert answer.status_code == 504 and calls == 3


def test_a_step_that_fails_is_no_reason_to_refuse_an_answer(writer):
    def fails(call):
        if call == 4:
            raise MemoryError
        return True

    async def go():
        async with asking(writer) as client:
            with counted(writer, fails):
                return (await client.post(PLAIN, json={"prompt": ["hello", "bye"]})).json()

    assert [one["text"] for one in run(go())["choices"]] == [own(writer, {"text": text}) for text in ("hello", "bye")]


def test_beams_are_searched_as_one_batch(writer):
    beams = writer.writing(Decoding("beam", beams=3, max_new_tokens=MANY))

    async def go():
        async with asking(beams) as client:
            return (await client.post(PLAIN, json={"prompt": ["hello", "bye"]})).json()

    answer = run(go())
    assert [one["text"] for one in answer["choices"]] == [
        one["text"] for one in beams.predict([{"text": "hello"}, {"text": "bye"}])
    ]
    assert answer["usage"]["completion_tokens"] == 2 * MANY
