"""Ask an application without a network, and a predictor that can be held back."""

import asyncio
import contextlib
import threading

import httpx

from jishi.serving.access import Access
from jishi.serving.app import create
from jishi.serving.entries import Entry
from jishi.serving.limits import Limits
from jishi.serving.models import Models

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
    """An httpx client of a fresh application of one predictor or of some models, by default once it is ready."""
    models = predictor if isinstance(predictor, Models) else one(predictor, limits)
    app = create(models, access or Access(), **options)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=30) as client:
            client.app, client.models = app, models
            while ready and not models.ready:
                await asyncio.sleep(0.005)
            yield client


def one(predictor, limits=None):
    return Models([Entry("reviews", lambda: predictor)], limits or Limits())


async def ask(client, inputs, model=None, **headers):
    given = {"inputs": inputs} if model is None else {"inputs": inputs, "model": model}
    return await client.post("/api/v1/predict", json=given, headers=headers)


def labels(predictions):
    return [prediction["label"] for prediction in predictions]
