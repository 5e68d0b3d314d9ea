"""OpenAI's own client against a live server: what it is told is what the predictor says."""

import dataclasses
import threading
import time

import httpx
import openai
import pytest

from asking import one
from jishi.models.decoding import Decoding
from jishi.serving.access import Access
from jishi.serving.entries import Entry
from jishi.serving.limits import Limits
from jishi.serving.models import Models
from live import live

KEY = "a-long-enough-key"
CLIENTS: list[openai.OpenAI] = []
HELLO = [{"role": "user", "content": "hello"}]


def client(url, key=KEY, **headers):
    found = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, default_headers=headers)
    CLIENTS.append(found)
    return found


@pytest.fixture(autouse=True)
def closed():
    """No client outlives its test."""
    yield
    while CLIENTS:
        CLIENTS.pop().close()


@pytest.fixture(scope="module")
def url(writer, similar, predictor):
    """A server of a model of each kind, with a key."""
    models = Models(
        [
            Entry("writer", lambda: writer, created=1_700_000_000),
            Entry("similar", lambda: similar),
            Entry("reviews", lambda: predictor),
        ]
    )
    with live(models, access=Access(KEY)) as (found, _):
        yield found


def written(predictor, raw, **changes):
    decoding = dataclasses.replace(predictor.task.decoding, **changes)
    return predictor.writing(decoding).predict([raw])[0]


def said(stream):
    """The text of a stream, and how it ended."""
    choices = [chunk.choices[0] for chunk in stream if chunk.choices]
    return "".join(choice.delta.content or "" for choice in choices), choices[-1].finish_reason


# --- answers ----------------------------------------------------------------------------------------------------------


def test_the_models_are_listed_by_their_names(url):
    assert [model.id for model in client(url).models.list()] == ["writer", "similar", "reviews"]
    assert [model.created for model in client(url).models.list()] == [1_700_000_000, 0, 0]
    assert client(url).models.retrieve("similar").id == "similar"
    with pytest.raises(openai.NotFoundError, match="writer"):
        client(url).models.retrieve("writre")


@pytest.mark.parametrize("encoding", ["float", "base64", openai.omit])
def test_vectors_are_those_of_the_predictor(url, similar, encoding):
    texts = ["good movie", "bad", "the movie works"]
    found = client(url).embeddings.create(model="similar", input=texts, encoding_format=encoding)
    if encoding == "base64":
        import base64

        import numpy

        vectors = [numpy.frombuffer(base64.b64decode(one.embedding), "<f4").tolist() for one in found.data]
    else:
        vectors = [one.embedding for one in found.data]
    for vector, own in zip(vectors, similar.predict(texts), strict=True):
        assert vector == pytest.approx(own["embedding"], abs=1e-6)
    assert [one.index for one in found.data] == [0, 1, 2]
    assert found.usage.prompt_tokens == 4 + 3 + 5 == found.usage.total_tokens  # each with its two special tokens


def test_the_side_a_text_stands_on_can_be_said(url, similar):
    found = client(url).embeddings.create(model="similar", input="movie", extra_body={"input_type": "passage"})
    own = similar.predict([{"passage": "movie"}, {"query": "movie"}])
    assert found.data[0].embedding == pytest.approx(own[0]["embedding"], abs=1e-6)
    assert found.data[0].embedding != pytest.approx(own[1]["embedding"], abs=1e-6)


def test_what_was_cut_off_is_told_and_read_by_the_client(url):
    """What OpenAI does not know of, its client hands on."""
    found = client(url).embeddings.create(model="similar", input=["movie", "movie " * 40]).data
    assert [getattr(one, "truncated", None) for one in found] == [None, True]
    for text, told in (("a", None), ("a" * 90, True)):
        asked = {"model": "writer", "prompt": text, "max_tokens": 2}
        chunks = list(client(url).completions.create(**asked, stream=True))
        assert [getattr(chunk.choices[0], "truncated", None) for chunk in chunks][-1] is told
        whole = client(url).completions.create(**asked).choices[0]
        assert getattr(whole, "truncated", None) is told and whole.finish_reason == "length"


def test_a_conversation_is_answered_as_the_predictor_does(url, writer):
    turns = [
        {"role": "developer", "content": "be short"},
        *HELLO,
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "and"}, {"type": "text", "text": "now"}]},
    ]
    found = client(url).chat.completions.create(model="writer", messages=turns)
    plain = [
        {"role": "system", "content": "be short"}, turns[1], turns[2], {"role": "user", "content": "and\nnow"},
    ]  # fmt: skip
    (own,) = writer.predict([{"prompt": plain}])
    assert found.choices[0].message.content == own["text"] != ""
    assert found.choices[0].finish_reason == ("stop" if own["complete"] else "length")
    assert found.usage.prompt_tokens == len(writer.encode({"prompt": plain})["prompt_ids"])
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_max_tokens_bound_the_answer_and_are_counted(url, writer):
    for name in ("max_tokens", "max_completion_tokens"):
        found = client(url).chat.completions.create(model="writer", messages=HELLO, **{name: 3})
        assert found.choices[0].message.content == written(writer, {"prompt": HELLO}, max_new_tokens=3)["text"]
        assert found.usage.completion_tokens == 3 and found.choices[0].finish_reason == "length"


def test_stop_strings_end_the_answer_before_them(url, writer):
    whole = writer.predict([{"prompt": HELLO}])[0]["text"]
    stop = whole[len(whole) // 2]
    for given in (["never", stop], whole[-6:]):  # one may be longer than there may be many
        found = client(url).chat.completions.create(model="writer", messages=HELLO, stop=given)
        end = whole.index(given if isinstance(given, str) else stop)
        assert found.choices[0].message.content == whole[:end].strip()
        assert found.choices[0].finish_reason == "stop"


def test_stop_strings_stand_beside_those_of_the_bundle(writer):
    whole = writer.predict([{"prompt": HELLO}])[0]["text"]
    early, late = whole[2], whole[6]
    assert whole.index(early) < whole.index(late)
    own = writer.writing(dataclasses.replace(writer.task.decoding, stop=(early,)))
    with live(own) as (url, _):
        found = client(url).chat.completions.create(model="reviews", messages=HELLO, stop=late)
    assert found.choices[0].message.content == whole[: whole.index(early)].strip()


def test_a_temperature_draws_by_seed_and_zero_does_not(url, writer):
    def ask(**options):
        return client(url).chat.completions.create(model="writer", messages=HELLO, **options).choices[0].message.content

    drawn = {"method": "sampling", "temperature": 1.5, "top_p": 0.9}
    for seed in (1, 2):
        own = written(writer, {"prompt": HELLO}, **drawn, seed=seed)["text"]
        assert ask(temperature=1.5, top_p=0.9, seed=seed) == own
    assert ask(temperature=1.5, seed=1) != ask(temperature=1.5, seed=2)
    assert ask(temperature=0, top_p=0.5, seed=1) == writer.predict([{"prompt": HELLO}])[0]["text"]


def test_completions_go_on_with_a_text(url, writer):
    found = client(url).completions.create(model="writer", prompt=["hello", "bye"], max_tokens=5)
    own = [written(writer, {"text": text}, max_new_tokens=5)["text"] for text in ("hello", "bye")]
    assert [choice.text for choice in found.choices] == own and own[0] != own[1]
    assert [choice.index for choice in found.choices] == [0, 1]


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_streamed_answer_is_the_whole_one(url, writer):
    stream = client(url).chat.completions.create(
        model="writer", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text, reason = said(chunks)
    (own,) = writer.predict([{"prompt": HELLO}])
    assert text == own["text"] and reason == ("stop" if own["complete"] else "length")
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) > 1
    whole = client(url).chat.completions.create(model="writer", messages=HELLO)
    assert chunks[-1].usage == whole.usage
    assert {chunk.id for chunk in chunks} == {chunks[0].id} != {whole.id}


def test_a_streamed_completion_stops_where_it_is_told(url, writer):
    whole = writer.predict([{"text": "hello"}])[0]["text"]
    stop = whole[3:5]
    stream = client(url).completions.create(model="writer", prompt="hello", stream=True, stop=stop)
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole[: whole.index(stop)].strip()
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_ends_with_done(url):
    body = {"messages": HELLO, "stream": True}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers={"x-api-key": KEY})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")


class Slow:
    """A predictor that counts the pieces it writes, each when `gate` lets it."""

    def __init__(self, inner, gate=None):
        self.inner = inner
        self.gate = gate or threading.Semaphore(10**6)
        self.steps = 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def writing(self, decoding):
        again = Slow(self.inner.writing(decoding), self.gate)
        again.write = lambda features: self._counted(again.inner.write(features))
        return again

    def _counted(self, steps):
        while True:
            assert self.gate.acquire(timeout=60)
            self.steps += 1
            try:
                piece = next(steps)
            except StopIteration as end:
                return end.value
            yield piece


def test_a_client_that_goes_away_stops_the_generation(writer):
    slow = Slow(writer, threading.Semaphore(6))
    with live(slow) as (url, models):
        with httpx.stream("POST", f"{url}/v1/chat/completions", json={"messages": HELLO, "stream": True}) as stream:
            next(line for line in stream.iter_lines() if "content" in line)
        service = models.entries[0].service
        _until(lambda: not service.streams.open)
        slow.gate.release(100)
        _until(lambda: not models.entries[0].users)
        time.sleep(0.1)
        assert slow.steps <= 8  # of twelve tokens: those before, and the one that was being written


def test_streams_at_once_are_each_their_own(writer):
    texts = ["one", "two", "three", "four"]
    found = {}
    with live(writer) as (url, _):

        def ask(text):
            turns = [{"role": "user", "content": text}]
            found[text] = said(client(url).chat.completions.create(model="reviews", messages=turns, stream=True))[0]

        threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
        [thread.start() for thread in threads]
        [thread.join(20) for thread in threads]
    assert found == {text: answer["text"] for text, answer in zip(texts, writer.predict(texts), strict=True)}


def test_more_streams_than_may_be_are_told_to_wait(writer):
    slow = Slow(writer, threading.Semaphore(3))
    with live(slow, Limits(max_streams=1)) as (url, models):
        body = {"messages": HELLO, "stream": True}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body) as stream:
            lines = stream.iter_lines()  # held: a client that drops it leaves
            next(line for line in lines if "content" in line)
            busy = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)
            slow.gate.release(100)
        assert busy.status_code == 503 and busy.json()["error"]["code"] == "serving.too-many-streams"
        _until(lambda: not models.entries[0].service.streams.open)
        assert httpx.post(f"{url}/v1/chat/completions", json=body).status_code == 200


def test_a_stream_that_breaks_says_so_in_its_last_event(writer):
    class Broken(Slow):
        def _counted(self, steps):
            yield "a"
            raise RuntimeError("secret detail")

    broken = Broken(writer)
    with live(broken) as (url, _):
        with pytest.raises(openai.APIError) as caught:
            list(client(url).chat.completions.create(model="reviews", messages=HELLO, stream=True))
        assert caught.value.code == "serving.internal" and "secret" not in str(caught.value)
        assert 'jishi_errors_total{code="serving.internal"} 1.0' in httpx.get(f"{url}/metrics").text


def _until(holds):
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("it never came")


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field", "code"),
    [
        ({"n": 2}, "n", "serving.unsupported"),
        ({"logprobs": True}, "logprobs", "serving.unsupported"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "serving.unsupported"),
        ({"response_format": {"type": "json_object"}}, "response_format", "serving.unsupported"),
        ({"presence_penalty": 0.5}, "presence_penalty", "serving.unsupported"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "serving.unsupported"),
        ({"temperature": 3}, "temperature", "serving.bad-field"),
        ({"top_p": 0}, "top_p", "serving.bad-field"),
        ({"max_tokens": 0}, "max_tokens", "serving.bad-field"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "serving.bad-field"),
        ({"messages": []}, "messages", "serving.bad-field"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "a"}]}, "messages", "serving.last-turn"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages", "serving.message-part"),
        ({"extra_body": {"temprature": 1}}, None, "serving.unknown-field"),
    ],
)
def test_what_can_not_be_honoured_is_refused_by_name(url, options, field, code):
    with pytest.raises(openai.BadRequestError) as caught:
        client(url).chat.completions.create(**{"model": "writer", "messages": HELLO, **options})
    error = caught.value
    assert (error.code, error.param, error.type) == (code, field, "invalid_request_error")
    assert set(error.body) == {"message", "type", "param", "code"}


def test_what_asks_for_nothing_is_no_reason_to_refuse(url, writer):
    options = {
        "n": 1, "logprobs": False, "tools": [], "presence_penalty": 0, "logit_bias": {}, "user": "me",
        "response_format": {"type": "text"}, "stop": None, "store": False,
    }  # fmt: skip
    found = client(url).chat.completions.create(model="writer", messages=HELLO, **options)
    assert found.choices[0].message.content == writer.predict([{"prompt": HELLO}])[0]["text"]


@pytest.mark.parametrize("ids", [[1, 2], [[1, 2], [3]]])
def test_token_ids_are_refused_with_their_cure(url, ids):
    with pytest.raises(openai.BadRequestError, match="send texts"):
        client(url).embeddings.create(model="similar", input=ids)
    with pytest.raises(openai.BadRequestError, match="send texts"):
        client(url).completions.create(model="writer", prompt=ids)


def test_a_vector_is_not_cut(url):
    assert client(url).embeddings.create(model="similar", input="good", dimensions=32).data
    with pytest.raises(openai.BadRequestError, match="32 numbers"):
        client(url).embeddings.create(model="similar", input="good", dimensions=8)


def test_a_model_that_is_asked_the_wrong_way_says_where_to_ask(url):
    with pytest.raises(openai.BadRequestError, match="text-classification.*/api/v1/predict"):
        client(url).embeddings.create(model="reviews", input="good")
    with pytest.raises(openai.BadRequestError, match="/v1/embeddings"):
        client(url).chat.completions.create(model="similar", messages=HELLO)


def test_more_than_the_limits_allow_is_too_large(url):
    for ask in (
        lambda api: api.chat.completions.create(model="writer", messages=HELLO, max_tokens=5000),
        lambda api: api.embeddings.create(model="similar", input=["good"] * 65),
        lambda api: api.embeddings.create(model="similar", input="a" * 20_001),
    ):
        with pytest.raises(openai.APIStatusError) as caught:
            ask(client(url))
        assert caught.value.status_code == 413


def test_without_the_key_nothing_is_told(url):
    with pytest.raises(openai.AuthenticationError) as caught:
        client(url, "another-key").models.list()
    assert caught.value.code == "serving.unauthorized"


def test_a_refusal_speaks_the_language_of_the_client(url):
    with pytest.raises(openai.BadRequestError, match="请去掉该字段"):
        client(url, **{"accept-language": "zh"}).chat.completions.create(model="writer", messages=HELLO, n=2)


def test_a_row_that_can_not_be_answered_refuses_the_request(url):
    with pytest.raises(openai.BadRequestError) as caught:
        client(url).embeddings.create(model="similar", input=["good", ""])
    assert caught.value.code == "tasks.no-sentence"


def test_temperature_leaves_nothing_of_another_method():
    beam = Decoding("beam", beams=6, length_penalty=1.0, max_new_tokens=9)
    assert beam.at(0) == Decoding(max_new_tokens=9)
    assert beam.at(0.5) == Decoding("sampling", temperature=0.5, max_new_tokens=9)
    drawn = Decoding("sampling", temperature=2.0, top_k=5, seed=3)
    assert drawn.at(0.5) == dataclasses.replace(drawn, temperature=0.5) and drawn.at(0) == Decoding()


def test_one_model_needs_no_name(writer):
    assert one(writer).find(None).name == "reviews"
