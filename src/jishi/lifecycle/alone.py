"""Work done in a process of its own: its memory is its own, and its end ends nothing else.

A module that can be asked so ends with `if __name__ == "__main__": alone.answer(…)`.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jishi.core.errors import JishiError

LOOK_SECONDS = 0.1  # between two looks whether the answer is still wanted


def ask(
    module: str, asked: Any, environment: Mapping[str, str] | None = None, until: Callable[[], bool] | None = None
) -> dict[str, Any]:
    """What a module answers, plain values there and back; {"failed": why} where it came to no end, or `until` said so."""
    with tempfile.TemporaryDirectory(prefix="jishi-") as name:
        question, found, log = (Path(name) / file for file in ("asked.json", "found.json", "log"))
        question.write_text(json.dumps(asked), encoding="utf-8")
        around = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": name, **(environment or {})}
        command = [sys.executable, "-m", module, str(question), str(found)]
        with (
            log.open("wb") as told,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=told, stderr=told, env=around) as process,
        ):
            try:
                ended = _ended(process, until)
            finally:
                process.kill()
        if found.is_file():
            return dict(json.loads(found.read_text(encoding="utf-8")))
        if ended < 0:
            return {"failed": signal.Signals(-ended).name}
        return {"failed": (log.read_text(encoding="utf-8", errors="replace").splitlines() or [""])[-1]}


def _ended(process: "subprocess.Popen[bytes]", until: Callable[[], bool] | None) -> int:
    """What it ended with; killed where the answer is wanted no more."""
    while until is not None:
        try:
            return process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if until():
                process.kill()
                until = None
    return process.wait()


def answer(work: Callable[[Any], dict[str, Any]]) -> None:
    """Do what this process is asked for, and write what was found, or the error; end where who asked has ended."""
    threading.Thread(target=_until_alone, daemon=True).start()
    asked, found = sys.argv[1:]
    try:
        told = work(json.loads(Path(asked).read_text(encoding="utf-8")))
    except JishiError as error:
        told = {"failed": str(error), "code": error.code}
    Path(found).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


def _until_alone() -> None:
    """Wait for the end of the input: its other end is held by who asked, and by nobody else."""
    sys.stdin.buffer.read()
    os._exit(1)
