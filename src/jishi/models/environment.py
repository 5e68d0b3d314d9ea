"""What of this machine stands in a model's way, and which precision is worth using on it: measured, not looked up."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from jishi.core.errors import JishiError, ModelError
from jishi.models import cache as kept

NEEDED = dict(torch=(2, 8), transformers=(5, 0), tokenizers=(0, 22), safetensors=(0, 6))  # noqa: C408
OPTIONAL = ("torchvision", "torchaudio")  # transformers imports them wherever they are installed
FREE_GB = 2.0  # the largest embedded model takes 0.5 GB, and as much again while it is made
IMPORT_SECONDS = 60
MEASURE_SECONDS = 0.02  # for each of the two precisions
LOOK_SECONDS = 0.3
FASTER = 1.2  # bf16 costs accuracy: less than this is not worth it


def problems() -> list[JishiError]:
    """Everything found wrong, each a sentence with its cure; empty on a healthy machine."""
    return [*unusable(), *_disk()]


def unusable() -> list[JishiError]:
    """The libraries that are missing, too old, or installed and don't import."""
    return [*_versions(), *_broken()]


@cache
def precision() -> Literal["bf16", "fp32"]:
    """The faster of the two on this machine: bf16 where it is clearly so. Measured once a process, in about 50 ms."""
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if seconds(torch.float32) > FASTER * seconds(torch.bfloat16) else "fp32"


def seconds(dtype: object) -> float:
    """Seconds for one product of two 384×384 matrices on the CPU, the best of as many as the time allows."""
    import torch

    left = torch.ones(384, 384, dtype=dtype)  # type: ignore[call-overload]
    best, deadline = float("inf"), time.perf_counter() + MEASURE_SECONDS
    left @ left  # the first one also builds the kernel
    while True:
        start = time.perf_counter()
        left @ left
        end = time.perf_counter()
        best = min(best, end - start)
        if end > deadline:
            return best


def _versions() -> Iterator[JishiError]:
    for library, wanted in NEEDED.items():
        try:
            given = version(library)
        except PackageNotFoundError:
            yield ModelError("models.library-missing", library=library)
            continue
        if tuple(int(part) for part in given.split(".")[:2]) < wanted:
            yield ModelError("models.library-old", library=library, given=given, allowed=".".join(map(str, wanted)))


def _broken() -> Iterator[JishiError]:
    """Libraries that are installed and don't import, tried in a process of their own: one may crash it."""
    for library in OPTIONAL:
        if importlib.util.find_spec(library) is None:
            continue
        try:
            done = subprocess.run(
                [sys.executable, "-c", f"import {library}"], capture_output=True, text=True, timeout=IMPORT_SECONDS
            )
            failed, told = done.returncode != 0, done.stderr.strip().splitlines()
        except subprocess.TimeoutExpired:
            failed, told = True, [f"> {IMPORT_SECONDS} s"]
        if failed:
            yield ModelError(
                "models.library-broken", library=library, reason=told[-1][:200] if told else done.returncode
            )


def _disk() -> Iterator[JishiError]:
    root = kept.root()
    place = next(path for path in (root, *root.absolute().parents) if path.exists())
    if not os.access(place, os.W_OK):
        yield ModelError("models.cache-unwritable", path=root)
    free = shutil.disk_usage(place).free / 1e9
    if free < FREE_GB:
        yield ModelError("models.disk-full", path=root, given=round(free, 1), allowed=FREE_GB)


def busy() -> JishiError | None:
    """Whether other work takes all the cores now: no fault of the machine, but a reason for slow training."""
    load = _load()
    return ModelError("models.no-free-cores", given=_cores(), load=round(load, 1)) if load > 2 * _cores() else None


def threads() -> int:
    """As many as torch takes for one operation, without loading it: what OMP_NUM_THREADS says, else a core each."""
    if loaded := sys.modules.get("torch"):
        return int(loaded.get_num_threads())
    import psutil

    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and int(said) else min(_cores(), psutil.cpu_count(logical=False) or _cores())


def free_cores() -> int:
    """Cores that other work leaves free now, at least 1, looked at for a third of a second.

    Threads beyond them wait for each other at every operation, which makes the whole slower than one thread.
    """
    import psutil

    taken = psutil.cpu_percent(interval=LOOK_SECONDS) / 100 * (os.cpu_count() or 1)
    return max(1, _cores() - round(taken))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
