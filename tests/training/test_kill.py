"""A crash costs nothing: training that was killed, or failed by the disk, goes on as if nothing had been.

Every case runs in a forked process with a run directory of its own, so that a kill is a kill. What must hold afterwards: the
run goes on from the last checkpoint it had published (never silently from an earlier one), ends with the very weights of a
run that nothing stopped, and leaves nothing behind.
"""

import errno
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from jishi.core import publish
from jishi.core.errors import JishiError
from jishi.training import checkpoint
from jishi.training.run import Run
from points import Net, loop, rows, same

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*fork:DeprecationWarning"
)  # newer Pythons warn of threads; there are none

# 20 rows in batches of 4, two a step: 3 steps an epoch, 9 in all; a checkpoint every 2 and at each better validation.
SETTINGS = {"batch_size": 4, "accumulation": 2, "epochs": 3, "checkpoint_every": 2, "validate_every": 3}
STEPS = 9
RANDOM_KILLS = 40
TORN = 4  # of so many events one also tears a file
FAULTS = 20  # positions of each fault of the disk
FAILED, REFUSED = 1, 3  # exit codes of a case: something nobody foresaw; one of Jishi's own errors
EVENTS = ("open", "os.", "shutil.", "tempfile.")  # audit events that touch files


@dataclass(frozen=True)
class Whole:
    """A run that nothing stopped: its weights, the events of its files, its seconds."""

    weights: dict[str, torch.Tensor]
    events: int
    seconds: float


def train(folder: Path, pause: float = 0.0) -> None:
    """One run; the file `published` beside its folder tells how far its checkpoints have come, where no crash takes it back."""
    torch.set_num_threads(1)
    with Run.open(folder, {"train": "points"}, resume=True) as run:
        one = loop(folder, rows(20), rows(6), model=Net(dropout=0.5), **SETTINGS)
        for event in one.events():
            run.log(event.kind, event.step, event.values)
            if event.kind == "checkpoint":
                publish.write_text(published(folder), str(event.step))
            time.sleep(pause)
        content = io.BytesIO()
        torch.save(one.model.state_dict(), content)
        (folder / "end.pt").write_bytes(content.getvalue())
        run.status("complete")


def quick() -> None:
    """A process that is killed has no need of `fsync`: what it has written, the system writes."""
    os.fsync = lambda descriptor: None


def published(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-published")


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
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def end(child: int) -> int:
    """The exit code of a process, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tear(folder: Path) -> None:
    """Of every file that was being written half is lost."""
    for file in [*folder.rglob(f".*{publish.PART}*/*"), *folder.rglob(f".*{publish.PART}*")]:
        if file.is_file():
            os.truncate(file, file.stat().st_size // 2)


def goes_on(folder: Path, whole: Whole) -> int:
    """Train on after a crash, hold it against the run that nothing stopped; the step it went on from."""
    found, damaged = checkpoint.newest(folder / "checkpoints")
    safe = int(found.name.removeprefix("step-")) if found else 0
    told = int(published(folder).read_text()) if published(folder).exists() else 0
    assert safe >= told and not damaged
    assert end(begin(lambda: (quick(), train(folder)))) == 0
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["kind"] == "start"] == [safe]
    assert [event["step"] for event in events if event["kind"] == "step"] == list(range(1, STEPS + 1))
    assert same(torch.load(folder / "end.pt"), whole.weights)
    assert not [path for path in folder.rglob(".*") if publish.PART in path.name or publish.OLD in path.name]
    return safe


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Whole:
    folder = tmp_path_factory.mktemp("whole") / "run"
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


@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
def test_killed_at_every_event_of_its_files(torn, whole, tmp_path):
    places = set()
    for number in range(1, whole.events + 1, TORN if torn else 1):
        folder = tmp_path / f"run-{number}"

        def strike(count: int, number: int = number, folder: Path = folder) -> None:
            if count == number:
                if torn:
                    tear(folder)
                kill()

        def case(folder: Path = folder, strike: Callable[[int], None] = strike) -> None:
            quick()
            watch(folder, strike)
            train(folder)

        assert end(begin(case)) == -signal.SIGKILL
        places.add(goes_on(folder, whole))
        shutil.rmtree(folder)
    assert places >= {0, 2, 3, 4, 6, 8, 9}  # every checkpoint was gone on from


def test_killed_at_random(whole, tmp_path):
    chance = random.Random(0)
    for number in range(RANDOM_KILLS):
        folder = tmp_path / f"run-{number}"
        child = begin(lambda folder=folder: train(folder, pause=0.002))
        time.sleep(chance.uniform(0, whole.seconds + 0.1))
        os.kill(child, signal.SIGKILL)
        if end(child) == -signal.SIGKILL:
            goes_on(folder, whole)
        shutil.rmtree(folder)


@pytest.mark.parametrize("fault", ["no space", "not flushed"])
def test_failed_by_the_disk(fault, whole, tmp_path, monkeypatch):
    """Files may not grow beyond a size (the writer of tensors is told by the system, not by Python), or `fsync` fails."""
    flush, codes = os.fsync, []
    sizes = [round(100 * 1.2**number) for number in range(FAULTS)]
    for number in range(FAULTS):
        folder, left = tmp_path / f"run-{number}", [number]

        def failing(descriptor: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.EIO, "Input/output error")
            flush(descriptor)

        def case(folder: Path = folder, number: int = number, failing: Callable[[int], None] = failing) -> None:
            if fault == "no space":
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[number], resource.RLIM_INFINITY))
            else:
                os.fsync = failing
            train(folder)

        codes.append(end(begin(case)))
        goes_on(folder, whole)
    assert set(codes) <= {0, REFUSED} and codes.count(REFUSED) >= FAULTS / 2


def test_terminated_twice_is_ended_at_once_and_goes_on(whole, tmp_path):
    child = begin(lambda: train(tmp_path / "run", pause=0.05))
    time.sleep(0.2)
    for _ in range(2):
        os.kill(child, signal.SIGTERM)
    assert end(child) == -signal.SIGTERM
    goes_on(tmp_path / "run", whole)
