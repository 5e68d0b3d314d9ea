"""What a request may hold, and how it is refused."""

import asyncio

import pytest

import tiny
import writers
from asking import JSON, ask, asking, refused, run
from jishi.core import bundle, spec
from jishi.models.chat import Chat
from jishi.models.decoding import Decoding
from jishi.predictor import Predictor
from jishi.serving.limits import Limits
from jishi.tasks.multiple_choice import MultipleChoice
from jishi.tasks.text_generation import TextGeneration


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b'{"inputs": ["a"}', JSON, 422, "serving.bad-json"),
        (b"", JSON, 422, "serving.bad-json"),
        (b"\xff\xfe", JSON, 422, "serving.bad-json"),
        (b'{"inputs": NaN}', JSON, 422, "serving.bad-json"),
        (b'{"inputs": "a", "inputs": "b"}', JSON, 422, "serving.bad-json"),
        (b'{"\\ud800": "a"}', JSON, 422, "serving.bad-json"),
        (b"[" * 100_000, JSON, 422, "serving.bad-json"),
        (b'["a"]', JSON, 422, "serving.body-shape"),
        (b"{}", JSON, 422, "serving.no-inputs"),
        (b'{"inputs": []}', JSON, 422, "serving.no-inputs"),
        (b'{"inputs": "a", "parameters": {}}', JSON, 422, "serving.unknown-field"),
        (b'{"inputs": [["a"]]}', JSON, 422, "serving.bad-input"),
        (b'{"inputs": [true]}', JSON, 422, "serving.bad-input"),
        (b'{"inputs": [{"text": {"a": 1}}]}', JSON, 422, "serving.bad-input"),
        (b'{"inputs": [{"text": [["a"]]}]}', JSON, 422, "serving.bad-input"),
        (b'{"inputs": [{"text": [{"a": ["a"]}]}]}', JSON, 422, "serving.bad-input"),
        (b'{"inputs": [{"text": ["a"]}]}', JSON, 422, "modalities.no-text"),
        (b'{"inputs": ""}', JSON, 422, "modalities.no-text"),
        (b'{"inputs": "a\\u0000b"}', JSON, 422, "modalities.text-control"),
        (b'{"inputs": "\\ud800"}', JSON, 422, "modalities.text-control"),
        (b'{"inputs": {"words": "a"}}', JSON, 422, "predictor.unknown-column"),
        (b'{"inputs": "a"}', {"content-type": "text/plain"}, 415, "serving.body-type"),
        (b'{"inputs": "a"}', {}, 415, "serving.body-type"),
        (b'{"inputs": "' + b"a" * 101 + b'"}', JSON, 413, "serving.text-too-long"),
        (b'{"inputs": ["a", "a", "a", "a", "a"]}', JSON, 413, "serving.too-many-items"),
        (b'{"inputs": "' + b"a" * 200_000 + b'"}', JSON, 413, "serving.body-too-large"),
    ],
)
def test_a_bad_body_is_refused_in_one_sentence(predictor, content, headers, status, code):
    async def scene():
        async with asking(predictor, Limits(max_items=4, max_characters=100, max_body_bytes=150_000)) as client:
            return await client.post("/api/v1/predict", content=content, headers=headers)

    refused(run(scene()), status, code)


def test_a_body_without_a_length_is_cut_at_the_limit_while_it_streams(predictor):
    sent = 0

    async def stream():
        nonlocal sent
        for _ in range(1000):
            sent += 1000
            yield b"a" * 1000

    async def scene():
        async with asking(predictor, Limits(max_body_bytes=5000)) as client:
            return await client.post("/api/v1/predict", content=stream(), headers=JSON)

    error = refused(run(scene()), 413, "serving.body-too-large")
    assert error["values"] == {"allowed": 5000}
    assert sent <= 7000


def test_a_body_that_drips_is_given_up(predictor):
    async def stream():
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    async def scene():
        async with asking(predictor, Limits(timeout_s=0.2)) as client:
            return await client.post("/api/v1/predict", content=stream(), headers=JSON)

    refused(run(scene()), 408, "serving.body-slow")


# --- lists ------------------------------------------------------------------------------------------------------------


def served(tmp_path, model, task, processor):
    record = {"task": spec.dump(task)}
    bundle.write(tmp_path / "bundle", model=model, processor=processor, record=record, probes=[], card="# A model")
    return Predictor.load(tmp_path / "bundle")


def test_a_list_of_choices_is_answered_as_the_predictor_does(tmp_path):
    processor = tiny.tokenizer("which word is long good bad fine")
    model = tiny.sequence_classifier(len(processor), num_labels=1)
    own = served(tmp_path, model, MultipleChoice(prefix="", max_length=32), processor)
    row = {"question": "which word", "choices": ["good bad", "fine", "long"]}

    async def scene():
        async with asking(own) as client:
            return (await ask(client, row)).json()["predictions"][0]

    answer, direct = run(scene()), own.predict([row])[0]
    assert answer["label"] == direct["label"]
    assert answer["score"] == pytest.approx(direct["score"], abs=1e-6)


def test_a_conversation_is_answered_as_the_predictor_does_and_its_turns_count_together(tmp_path):
    chat = Chat("plain", user=("Q", "\n"), assistant="A")
    task = TextGeneration(form="conversation", chat=chat, max_length=64, decoding=Decoding(max_new_tokens=4))
    own = served(tmp_path, writers.decoder(words=258), task, writers.bytewise())
    turns = [
        {"role": "user", "content": "1 + 1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "+ 3"},
    ]

    async def scene():
        async with asking(own, Limits(max_characters=30)) as client:
            return (await ask(client, {"prompt": turns})).json(), await ask(client, {"prompt": [*turns, *turns]})

    answer, long = run(scene())
    assert answer["predictions"][0]["text"] == own.predict([{"prompt": turns}])[0]["text"]
    error = refused(long, 413, "serving.text-too-long")
    assert error["values"]["given"] == 2 * (5 + 1 + 3 + 4 + 9 + 4)  # the texts and the roles
