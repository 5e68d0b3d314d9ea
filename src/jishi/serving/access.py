"""Who may ask: the address a server listens on, the Host header it answers to, and its API key."""

import hmac
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jishi.core.errors import ServingError

MIN_KEY = 16
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True)
class Access:
    """`key` None lets everyone ask; `hosts` None answers to every Host header.

    On loopback only loopback's own names are answered to, so that a web page elsewhere cannot reach the server by
    pointing a name of its own at 127.0.0.1 (DNS rebinding). Roles will stand here.
    """

    key: str | None = None
    hosts: frozenset[str] | None = LOOPBACK_NAMES

    def check_host(self, header: str) -> None:
        """Raises ServingError("serving.bad-host") for a name that is not this server's."""
        name = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
        if self.hosts is not None and name.lower() not in self.hosts:
            raise ServingError("serving.bad-host", given=header[:80], allowed=", ".join(sorted(self.hosts)))

    def check_key(self, headers: Mapping[str, str]) -> None:
        """Raises ServingError("serving.unauthorized") unless the key came; compared in constant time."""
        if self.key is None:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if not hmac.compare_digest(given.encode(), self.key.encode()):
            raise ServingError("serving.unauthorized")


def plan(host: str, key: str | None, allowed_hosts: Iterable[str] = ()) -> Access:
    """The access of a server that listens on `host`. Raises ServingError off loopback without a good key."""
    local = is_loopback(host)
    if not local and not key:
        raise ServingError("serving.key-required", host=host)
    if not local and key is not None and len(key) < MIN_KEY:
        raise ServingError("serving.key-too-short", given=len(key), allowed=MIN_KEY)
    names = frozenset(name.lower() for name in allowed_hosts)
    return Access(key or None, names | LOOPBACK_NAMES | {host} if local else names or None)


def is_loopback(host: str) -> bool:
    """Whether every address of `host` is this machine's own. Raises ServingError for a name that has none."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        raise ServingError("serving.unknown-host", host=host) from None
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)
