"""Ask an application without a network, and a predictor that can be held back."""

import asyncio
import contextlib
import threading

import httpx

from jishi.serving.access import Access
from jishi.serving.app import create
from jishi.serving.limits import Limits

JSON = {"content-type": "application/json"}


def run(coroutine):
    return asyncio.run(coroutine)


def refused(response, status, code):
    """The response is our error shape, whole."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"code", "kind", "message", "values"}
    assert error["code"] == code
    assert error["message"] and "Traceback" not in response.text
    return error


class Held:
    """A predictor whose answers wait until `gate` is open."""

    def __init__(self, inner):
        self.inner = inner
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.answered = 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def answer(self, features):
        self.entered.set()
        self.gate.wait(5)
        self.answered += len(features)
        return self.inner.answer(features)


@contextlib.asynccontextmanager
async def asking(predictor, limits=None, access=None, *, ready=True, **options):
    """An httpx client of a fresh application, by default once it is ready."""
    app = create(predictor, limits or Limits(), access or Access(), **options)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=30) as client:
            client.app, client.service = app, app.state.service
            while ready and not client.service.ready:
                await asyncio.sleep(0.005)
            yield client


async def ask(client, inputs, **headers):
    return await client.post("/api/v1/predict", json={"inputs": inputs}, headers=headers)


def labels(predictions):
    return [prediction["label"] for prediction in predictions]
