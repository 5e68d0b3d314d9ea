"""A process is told its own memory, not that of the one that started it."""

import subprocess
import sys

import numpy
import pytest

from jishi.lifecycle.footprint import resident_bytes

TELL = "from jishi.lifecycle.footprint import resident_bytes; print(resident_bytes())"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process begins with nothing of its parent's")
def test_a_small_process_of_a_large_one_is_small():
    held = numpy.ones(50_000_000)  # 400 MB, touched
    small = int(subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, check=True).stdout)
    assert resident_bytes() > held.nbytes > 200_000_000 > small > 5_000_000
