"""A run of several processes on this machine: this one is the first, and starts the others as commands that say nothing."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
import yaml

from jishi.core import errors
from jishi.core.errors import JishiError, TrainingError, UsageError
from jishi.training.ranks import PATIENCE, Ranks

HOST = "127.0.0.1"
ENDED = 10.0  # seconds in which a process that has failed is gone


@contextmanager
def together(verb: str, wanted: Mapping[str, Any], devices: int | Literal["auto"]) -> Iterator[None]:
    """While this holds, so many processes do the verb with the same spec; none is left behind, however it ends.

    Nothing is started where another launcher (torchrun) has done so. Raises what went wrong in another process first.
    """
    count = _count(devices)
    if count == 1 or "LOCAL_RANK" in os.environ:
        yield
        return
    before = dict(os.environ)
    others: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="jishi-") as name:
        folder = Path(name)
        (folder / "spec.yaml").write_text(yaml.safe_dump(dict(wanted), allow_unicode=True), encoding="utf-8")
        Ranks.leave()
        store = dist.TCPStore(HOST, 0, is_master=True, wait_for_workers=False, timeout=PATIENCE)
        os.environ |= _environment(0, count, store.port)
        try:
            for rank in range(1, count):
                others.append(_start(verb, folder, rank, _environment(rank, count, store.port)))
            yield
            _until(others, PATIENCE.total_seconds())
        except TrainingError as error:
            if error.code == "training.rank-lost":
                _until(others, ENDED)
                raise (_found(folder, others) or error) from error
            raise
        finally:
            for process in others:
                process.kill()
                process.wait()
            Ranks.leave()
            for key in os.environ.keys() - before.keys():
                del os.environ[key]
            os.environ.update(before)


def _count(devices: int | Literal["auto"]) -> int:
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not isinstance(devices, int):
        return max(1, present)
    if present and devices > present:
        raise UsageError("training.too-few-devices", given=devices, allowed=present)
    return devices


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    """What torchrun would set: the store is there already, and all meet at it."""
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": HOST, "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),  # as torchrun does; training sets its own number
    }  # fmt: skip


def _start(verb: str, folder: Path, rank: int, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """In a session of its own: Ctrl-C reaches the first process alone, which tells the others."""
    own = folder / str(rank)
    own.mkdir()
    command = [sys.executable, "-m", "jishi", verb, str(folder / "spec.yaml"), "--json"]
    places = {"TMPDIR": str(own), "PYTHONPATH": os.pathsep.join(sys.path)}  # what it leaves goes with the folder
    with (own / "told").open("wb") as told, (own / "log").open("wb") as log:
        return subprocess.Popen(
            command, env={**os.environ, **environment, **places}, stdin=subprocess.DEVNULL, stdout=told, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def _until(others: Sequence["subprocess.Popen[bytes]"], seconds: float) -> None:
    """Wait until all have ended, at most so long."""
    end = time.monotonic() + seconds
    while any(process.poll() is None for process in others) and time.monotonic() < end:
        time.sleep(0.05)


def _found(folder: Path, others: Sequence["subprocess.Popen[bytes]"]) -> JishiError | None:
    """The error of the process that failed first: one that was not told of another's end."""
    for rank, process in enumerate(others, 1):
        code = process.poll()
        if code is not None and code < 0:
            return TrainingError("training.rank-lost", reason=f"rank {rank}: {signal.Signals(-code).name}")
        lines = (folder / str(rank) / "told").read_text(encoding="utf-8", errors="replace").splitlines()
        told = json.loads(lines[-1])["error"] if code and lines else None
        if told and told["code"] != "training.rank-lost":
            return errors.read(told)
    return None
