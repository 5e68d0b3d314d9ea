"""Crashes made on purpose: a small training run that is killed, or failed by the disk, and what comes of it.

Every run is a forked process with a run directory of its own, so that a kill is a kill. What must hold afterwards: the next
process goes on from the last checkpoint that was published, ends with the very weights of a run that nothing stopped, and
leaves nothing behind. A cause is a function of (folder, number, whole): it begins a run, makes the crash `number`, and gives
the exit code. `tests/training/test_kill.py` tries a sample of them, `benchmarks/crash.py` all.
"""

import ctypes
import errno
import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from jishi import terminal
from jishi.core import publish
from jishi.core.errors import JishiError
from jishi.training import checkpoint
from jishi.training.run import Run
from points import Net, loop, rows, same

# 20 rows in batches of 4, two a step: 3 steps an epoch, 9 in all; a checkpoint every 2 and at each better validation.
SETTINGS = {"batch_size": 4, "accumulation": 2, "epochs": 3, "checkpoint_every": 2, "validate_every": 3}
STEPS = 9
PLACES = {0, 2, 3, 4, 6, 8, 9}  # the steps there is a checkpoint of, and the beginning
POSITIONS = 20  # of each fault of the disk
FAILED, REFUSED, LEFT = 1, 3, 130  # exit codes of a case: what nobody foresaw; one of Jishi's own errors; left at once
PAGE = 4096  # bytes a file system grants at once
EVENTS = ("open", "os.", "shutil.", "tempfile.")  # audit events that touch files
CAPABILITIES = 0x20080522  # version 3 of Linux's call to set them


@dataclass(frozen=True)
class Whole:
    """A run that nothing stopped: its weights, the events of its files, its seconds."""

    weights: dict[str, torch.Tensor]
    events: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What came of a crash. `told` is the last step whose checkpoint was published, `safe` that of the newest that verifies."""

    code: int
    told: int
    safe: int
    damaged: int
    begun: tuple[int, ...]  # where the next process went on
    resumed: bool  # it ended as a run that nothing stopped: its weights, every step logged once, nothing left behind

    @property
    def earlier(self) -> bool:
        """Whether work that was safe has been lost."""
        return self.safe < self.told or any(step < self.told for step in self.begun)


Cause = Callable[[Path, int, Whole], int]


# --- one run ----------------------------------------------------------------------------------------------------------


def train(folder: Path, pause: float = 0.0, stoppable: bool = False) -> None:
    """One run; the file `published` beside its folder tells how far its checkpoints have come, where no crash takes it back."""
    torch.set_num_threads(1)
    face = terminal.Training(as_json=True)
    with face if stoppable else nullcontext(), Run.open(folder, {"train": "points"}, resume=True) as run:
        one = loop(folder, rows(20), rows(6), model=Net(dropout=0.5), **SETTINGS)
        face.watch(one)
        for event in one.events():
            run.log(event.kind, event.step, event.values)
            if event.kind == "checkpoint":
                publish.write_text(published(folder), str(event.step))
            if event.kind == "interrupted":
                return
            time.sleep(pause)
        content = io.BytesIO()
        torch.save(one.model.state_dict(), content)
        (folder / "end.pt").write_bytes(content.getvalue())
        run.status("complete")


def undisturbed(folder: Path) -> Whole:
    """The run that all others are held to."""
    train(folder.with_name("first"))  # here, so that what is imported on first use is there in every fork
    count = folder.with_name("events")

    def counted() -> None:
        total = 0

        def happened(number: int) -> None:
            nonlocal total
            total = number

        watch(folder, happened)
        train(folder)
        count.write_text(str(total))

    clock = time.monotonic()
    assert end(begin(counted)) == 0
    return Whole(torch.load(folder / "end.pt"), int(count.read_text()), time.monotonic() - clock)


def outcome(folder: Path, code: int, whole: Whole) -> Outcome:
    """Train on after a crash, and hold it against the run that nothing stopped."""
    found, damaged = checkpoint.newest(folder / "checkpoints")
    told = int(published(folder).read_text()) if published(folder).exists() else 0
    safe = int(found.name.removeprefix("step-")) if found else 0
    if end(begin(lambda: (quick(), train(folder)))):
        return Outcome(code, told, safe, len(damaged), (), False)
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    begun = tuple(event["step"] for event in events if event["kind"] == "start")
    left = [path for path in folder.rglob(".*") if publish.PART in path.name or publish.OLD in path.name]
    every = [event["step"] for event in events if event["kind"] == "step"] == list(range(1, STEPS + 1))
    whole_again = same(torch.load(folder / "end.pt"), whole.weights)
    return Outcome(code, told, safe, len(damaged), begun, every and whole_again and not left)


def published(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-published")


def clear(folder: Path) -> None:
    """Nothing of a run is of use any more."""
    if folder.is_mount():
        subprocess.run(["umount", folder], check=True)
    shutil.rmtree(folder, ignore_errors=True)


# --- processes and their files ----------------------------------------------------------------------------------------


def begin(work: Callable[[], None]) -> int:
    """`work` in a process of its own; its process id."""
    child = os.fork()
    if child:
        return child
    code = FAILED
    try:
        work()
        code = 0
    except JishiError:
        code = REFUSED
    except KeyboardInterrupt:
        code = LEFT
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def end(child: int) -> int:
    """The exit code of a process, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def quick() -> None:
    """A process that is killed has no need of `fsync`: what it has written, the system writes."""
    os.fsync = lambda descriptor: None


def bound() -> None:
    """Permissions bind this process from now on, even where it is root's."""
    header, none = struct.pack("Ii", CAPABILITIES, 0), struct.pack("6I", *[0] * 6)
    if ctypes.CDLL(None).capset(header, none):
        raise OSError("capset")


def watch(folder: Path, happened: Callable[[int], None]) -> None:
    """Have `happened` told the number of each event on a file of the folder, before it takes place."""
    name, count, busy = str(folder), 0, False

    def hook(event: str, values: tuple) -> None:
        nonlocal count, busy
        if busy or not event.startswith(EVENTS):
            return
        if any(name in os.fsdecode(value) for value in values if isinstance(value, str | bytes | os.PathLike)):
            count, busy = count + 1, True  # what `happened` does itself is no event
            try:
                happened(count)
            finally:
                busy = False

    sys.addaudithook(hook)


def tear(folder: Path) -> None:
    """Of every file that was being written half is lost."""
    for file in [*folder.rglob(f".*{publish.PART}*/*"), *folder.rglob(f".*{publish.PART}*")]:
        if file.is_file():
            os.truncate(file, file.stat().st_size // 2)


def position(number: int, whole: Whole) -> int:
    """One of POSITIONS events, spread over the run; the first two make the directory and its lock."""
    return 3 + number * (whole.events - 3) // POSITIONS


def at_event(folder: Path, number: int, strike: Callable[[], None]) -> int:
    """A run to which `strike` happens at an event of its files."""

    def case() -> None:
        quick()
        watch(folder, lambda count: strike() if count == number else None)
        train(folder)

    return end(begin(case))


# --- causes -----------------------------------------------------------------------------------------------------------


def killed(folder: Path, number: int, whole: Whole) -> int:
    return at_event(folder, number, lambda: os.kill(os.getpid(), signal.SIGKILL))


def killed_and_torn(folder: Path, number: int, whole: Whole) -> int:
    return at_event(folder, number, lambda: (tear(folder), os.kill(os.getpid(), signal.SIGKILL)))


def killed_at_random(folder: Path, number: int, whole: Whole) -> int:
    child = begin(lambda: train(folder, pause=0.002))
    time.sleep(random.Random(number).uniform(0, whole.seconds + 0.1))
    os.kill(child, signal.SIGKILL)
    return end(child)


def full_disk(folder: Path, number: int, whole: Whole) -> int:
    """Files may not grow beyond a size: the writer of tensors is told by the system, not by Python."""

    def case() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (round(100 * 1.2**number), resource.RLIM_INFINITY))
        train(folder)

    return end(begin(case))


def full_file_system(folder: Path, number: int, whole: Whole) -> int:
    """A file system of its own that fills up; then it is given more room. Mounting one takes root."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, f"size={PAGE * (1 + number)}", "tmpfs", folder], check=True)
    code = end(begin(lambda: train(folder)))
    subprocess.run([*mount, "remount,size=64m", "tmpfs", folder], check=True)
    return code


def not_flushed(folder: Path, number: int, whole: Whole) -> int:
    """From a position on, `fsync` fails."""
    flush, left = os.fsync, number

    def failing(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.EIO, "Input/output error")
        flush(descriptor)

    def case() -> None:
        os.fsync = failing
        train(folder)

    return end(begin(case))


def read_only(folder: Path, number: int, whole: Whole) -> int:
    """From a position on, nothing can be made, renamed or removed in the run directory; then all is as it was."""
    places = (folder, folder / "checkpoints")

    def allow(mode: int) -> None:
        for place in places:
            if place.is_dir():
                place.chmod(mode)

    def case() -> None:
        quick()
        bound()
        watch(folder, lambda count: allow(0o555) if count >= position(number, whole) else None)
        train(folder)

    code = end(begin(case))
    allow(0o755)
    return code


def terminated_twice(folder: Path, number: int, whole: Whole) -> int:
    """As a face handles it: the first signal asks for a checkpoint and an end, the second ends at once."""
    first = position(number, whole)

    def case() -> None:
        quick()
        watch(folder, lambda count: os.kill(os.getpid(), signal.SIGTERM) if count in (first, first + 1) else None)
        train(folder, stoppable=True)

    return end(begin(case))


def second_trainer(folder: Path, number: int, whole: Whole) -> int:
    """Another process asks for a run directory that is in use: it is refused, and the first goes on to its end.

    The first stands still meanwhile, so that it cannot have ended before the other has begun, however slow the machine.
    """
    stop = position(number, whole)

    def case() -> None:
        watch(folder, lambda count: os.kill(os.getpid(), signal.SIGSTOP) if count == stop else None)
        train(folder)

    first = begin(case)
    os.waitpid(first, os.WUNTRACED)
    code = end(begin(lambda: train(folder)))
    os.kill(first, signal.SIGCONT)
    return FAILED if end(first) else code
