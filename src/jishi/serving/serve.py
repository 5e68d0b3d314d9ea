"""Serve bundles: everything that can be refused is refused before the model is loaded or a connection accepted."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from jishi.core import i18n
from jishi.core.errors import JishiError, MissingExtra, ServingError
from jishi.serving import access, entries
from jishi.serving.spec import ServeSpec

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from jishi.serving.home import Home

KEY_VARIABLE = "JISHI_API_KEY"
LIBRARIES = ("fastapi", "uvicorn", "prometheus_client")
RATE_OFF_LOOPBACK = 20.0
GRACE_S = 30
BACKLOG = 2048


def serve(wanted: ServeSpec, announce: Callable[[str], None] | None = None) -> None:
    """Serve bundles until SIGTERM or SIGINT, then finish what was asked and return.

    `announce` is told the address once the probes were answered as recorded; by default it is printed. Raises MissingExtra;
    ServingError where it can't listen, or reading a model ends its process again and again; BundleError where the bundle is
    damaged or answers otherwise.
    """
    for library in LIBRARIES:
        if find_spec(library) is None:
            raise MissingExtra(library, "serve")
    limits = wanted.limits
    allowed = access.plan(wanted.host, os.environ.get(KEY_VARIABLE), wanted.allowed_hosts)
    if limits.requests_per_second is None:
        limits = replace(limits, requests_per_second=0.0 if access.is_loopback(wanted.host) else RATE_OFF_LOOPBACK)
    bundles = [wanted.bundle] if isinstance(wanted.bundle, str) else wanted.bundle
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listen(wanted.host, wanted.port))
        given = entries.of(bundles, wanted.runtime)
        entries.check(given, wanted.memory)
        home: Home | None = None
        if wanted.isolate:
            from jishi.serving.worker import Worker

            home = stack.enter_context(Worker(limits, wanted.runtime, given[0]))
        # What speaks HTTP is imported while the other process reads the model.
        import uvicorn

        from jishi.serving.app import create
        from jishi.serving.models import Models

        failures: list[JishiError] = []

        def warmed(error: JishiError | None) -> None:
            if error is None:
                (announce or _print)(address(wanted.host, listener))
            else:
                failures.append(error)
                server.should_exit = True

        models = Models(given, limits, wanted.memory, home)
        server = uvicorn.Server(configured(create(models, allowed, warmed)))
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once all is finished
            server.run(sockets=[listener])
    if failures:
        raise failures[0]


def configured(app: FastAPI) -> uvicorn.Config:
    """How every server here runs."""
    import uvicorn

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


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; connections wait in it until a server takes them. Raises ServingError."""
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


def address(host: str, listener: socket.socket) -> str:
    """Where a socket is asked."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _print(url: str) -> None:
    sys.stdout.write(i18n.text("serving.listening", url=url) + "\n")
    sys.stdout.flush()
