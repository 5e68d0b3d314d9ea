"""What a process takes of the machine's memory."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Peak resident memory of this process.

    Linux tells it in the status of the process: getrusage there counts what the process that started this one had, too.
    """
    if STATUS.is_file():
        return 1024 * int(STATUS.read_text().partition("VmHWM:")[2].split()[0])
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
