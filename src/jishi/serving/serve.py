"""Serve a bundle: everything that can be refused is refused before the model is loaded or a connection accepted."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from jishi.core.errors import JishiError, ServingError
from jishi.predictor import Predictor
from jishi.serving import access
from jishi.serving.app import create
from jishi.serving.limits import Limits

KEY_VARIABLE = "JISHI_API_KEY"
RATE_OFF_LOOPBACK = 20.0
GRACE_S = 30
BACKLOG = 2048


def run(
    path: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key: str | None = None,
    allowed_hosts: Iterable[str] = (),
    limits: Limits | None = None,
    announce: Callable[[str], None] = lambda _url: None,
) -> None:
    """Serve the bundle at `path` until SIGTERM or SIGINT, then finish what was asked and return.

    Port 0 takes a free one; `announce` is told the address once the probes were replayed. The key comes from
    `JISHI_API_KEY` where none is given. Raises ServingError where it can't listen, BundleError where the probes differ.
    """
    limits = limits or Limits()
    allowed = access.plan(host, api_key or os.environ.get(KEY_VARIABLE), allowed_hosts)
    if limits.requests_per_second is None:
        limits = replace(limits, requests_per_second=0.0 if access.is_loopback(host) else RATE_OFF_LOOPBACK)
    with _listen(host, port) as listener:
        failures: list[JishiError] = []

        def warmed(error: JishiError | None) -> None:
            if error is None:
                announce(_url(host, listener))
            else:
                failures.append(error)
                server.should_exit = True

        server = uvicorn.Server(_config(create(Predictor.load(path), limits, allowed, warmed)))
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once all is finished
            server.run(sockets=[listener])
    if failures:
        raise failures[0]


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # a client's address is the one it comes from, whatever it says
        timeout_graceful_shutdown=GRACE_S,
    )


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; connections wait in it until the model is loaded."""
    if not 0 <= port <= 65535:
        raise ServingError("serving.bad-port", given=port)
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        code = "serving.port-in-use" if error.errno == errno.EADDRINUSE else "serving.cannot-listen"
        raise ServingError(code, host=host, port=port, reason=error.strerror) from None
    return listener


def _url(host: str, listener: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
