"""A crash costs nothing: training that was killed, or failed by the disk, goes on as if nothing had been.

A sample of what `benchmarks/crash.py --kills 200` tries: see `tests/crashes.py`.
"""

import signal

import pytest

import crashes
from crashes import LEFT, PLACES, POSITIONS, REFUSED

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*fork:DeprecationWarning"
)  # newer Pythons warn of threads; there are none

EVERY, TORN = 6, 9  # of so many events one kills, one also tears a file: `benchmarks/crash.py` tries all
RANDOM_KILLS = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return crashes.undisturbed(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def after(whole, tmp_path):
    """Make each crash of a cause and train on; the outcomes, in which no crash has cost anything."""

    def crash(cause, numbers):
        found = []
        for number in numbers:
            folder = tmp_path / f"run-{number}"
            found.append(crashes.outcome(folder, cause(folder, number, whole), whole))
            assert found[-1].resumed and not found[-1].earlier and not found[-1].damaged, (number, found[-1])
            assert found[-1].begun == (found[-1].safe,)
            crashes.clear(folder)
        return found

    return crash


@pytest.mark.parametrize(("cause", "every"), [(crashes.killed, EVERY), (crashes.killed_and_torn, TORN)])
def test_killed_at_events_of_its_files(cause, every, whole, after):
    found = after(cause, range(1, whole.events + 1, every))
    assert {one.code for one in found} == {-signal.SIGKILL}
    assert {one.safe for one in found} >= PLACES  # every checkpoint was gone on from


def test_killed_at_random(after):
    assert -signal.SIGKILL in {one.code for one in after(crashes.killed_at_random, range(RANDOM_KILLS))}


@pytest.mark.parametrize("cause", [crashes.full_disk, crashes.not_flushed])
def test_failed_by_the_disk(cause, after):
    """It is told in an error of Jishi's own."""
    codes = [one.code for one in after(cause, range(0, POSITIONS, 2))]
    assert set(codes) <= {0, REFUSED} and codes.count(REFUSED) >= len(codes) / 2


def test_a_directory_that_becomes_read_only_is_told(after):
    codes = [one.code for one in after(crashes.read_only, range(0, POSITIONS, 4))]
    assert set(codes) <= {0, REFUSED} and codes.count(REFUSED) >= len(codes) - 1


def test_terminated_twice_is_ended_at_once_and_goes_on(after):
    assert {one.code for one in after(crashes.terminated_twice, range(0, POSITIONS, 4))} == {LEFT}


def test_a_second_trainer_is_refused_and_the_first_not_disturbed(after):
    assert {one.code for one in after(crashes.second_trainer, range(0, POSITIONS, 4))} == {REFUSED}
