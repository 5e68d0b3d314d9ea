"""Messages between two processes of ours: four bytes that tell the length, then the value.

They are pickled, for vectors as JSON take many times as long. The socket has no name:
only a process and its own child hold it.
"""

import struct
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any, BinaryIO

from jishi.core.errors import LimitError

HEAD = struct.Struct("!I")
MOST = 512 * 1024 * 1024  # bytes of one message


def packed(value: Any) -> bytes:
    """Raises LimitError."""
    body = bytes(ForkingPickler.dumps(value))
    if len(body) > MOST:
        raise LimitError("serving.message-too-large", given=len(body), allowed=MOST)
    return HEAD.pack(len(body)) + body


def received(file: BinaryIO) -> Iterator[Any]:
    """What comes, until the other end is closed."""
    while len(head := file.read(HEAD.size)) == HEAD.size:
        (size,) = HEAD.unpack(head)
        if len(body := file.read(size)) < size:
            return
        yield ForkingPickler.loads(body)


class Buffer:
    """Bytes as they come, and the messages that they make up."""

    def __init__(self) -> None:
        self._held = bytearray()

    def take(self, data: bytes) -> Iterator[Any]:
        self._held += data
        start = 0
        while len(self._held) >= start + HEAD.size:
            (size,) = HEAD.unpack_from(self._held, start)
            end = start + HEAD.size + size
            if len(self._held) < end:
                break
            yield ForkingPickler.loads(bytes(self._held[start + HEAD.size : end]))
            start = end
        del self._held[:start]
