"""A real server on a loopback port in this process, for clients that speak over sockets."""

import contextlib
import threading

import uvicorn

from asking import one
from jishi.serving.access import Access
from jishi.serving.app import create
from jishi.serving.models import Models
from jishi.serving.serve import address, configured, listen


class Servers:
    """One server for each predictor, limits and access that are asked for, while this is entered."""

    def __enter__(self):
        self._stack, self._urls = contextlib.ExitStack(), {}
        return self

    def __exit__(self, *_):
        self._stack.close()

    def url(self, predictor, limits=None, access=None):
        key = (id(predictor), limits, access)
        if key not in self._urls:
            self._urls[key] = self._stack.enter_context(live(predictor, limits, access))[0]
        return self._urls[key]


@contextlib.contextmanager
def live(predictor, limits=None, access=None):
    """Its address, once it is ready, and its models."""
    models = predictor if isinstance(predictor, Models) else one(predictor, limits)
    ready = threading.Event()
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(configured(create(models, access or Access(), lambda _error: ready.set())))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert ready.wait(60)
            yield address("127.0.0.1", listener), models
        finally:
            server.should_exit = True
            thread.join(20)
