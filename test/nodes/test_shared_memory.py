"""What killed processes have left in shared memory goes; what living ones use stays."""

import fcntl
import mmap
import os
import time

import pytest

from coedge_ros.nodes.shared_memory import remove_stale_segments, stale_segments

SEGMENT, PORT = "fastdds_0123456789abcdef", "fastdds_port7411"


def leave(folder, name: str, size: int = 100) -> None:
    (folder / name).write_bytes(b"x" * size)
    (folder / f"{name}_el").touch()


def test_segments_without_an_owner_are_removed_with_their_locks_and_mutexes(tmp_path):
    leave(tmp_path, SEGMENT)
    leave(tmp_path, PORT, 50)
    (tmp_path / f"sem.{PORT}_mutex").write_bytes(b"x" * 8)
    assert remove_stale_segments(tmp_path) == 158
    assert list(tmp_path.iterdir()) == []


def test_segments_of_the_living_stay(tmp_path):
    leave(tmp_path, SEGMENT)
    with (tmp_path / f"{SEGMENT}_el").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert stale_segments(tmp_path) == [] and remove_stale_segments(tmp_path) == 0
        assert (tmp_path / SEGMENT).exists()


def test_a_shared_lock_is_a_sign_of_life_too(tmp_path):
    leave(tmp_path, PORT)
    with (tmp_path / f"{PORT}_el").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert stale_segments(tmp_path) == []


@pytest.fixture
def orphan(tmp_path):
    """A port without a lock file, as it stays when one who wrote to it was killed."""
    port = tmp_path / PORT
    port.write_bytes(b"x" * 4096)
    (tmp_path / f"sem.{PORT}_mutex").write_bytes(b"x" * 32)
    an_hour_ago = time.time() - 3600
    os.utime(port, (an_hour_ago, an_hour_ago))
    return port


def test_a_port_that_nobody_reads_or_has_open_is_removed_with_its_mutex(tmp_path, orphan):
    assert remove_stale_segments(tmp_path) == 4128
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_a_process_has_open_stays(tmp_path, orphan):
    with orphan.open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert stale_segments(tmp_path) == []
    assert remove_stale_segments(tmp_path) == 4128


@pytest.mark.parametrize("ending", ["_el", "_sl"])
def test_a_port_with_a_lock_that_is_held_stays(tmp_path, orphan, ending):
    with (tmp_path / f"{PORT}{ending}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert stale_segments(tmp_path) == []


def test_a_port_that_has_just_been_made_stays_because_its_lock_may_be_about_to_come(tmp_path, orphan):
    os.utime(orphan)
    assert stale_segments(tmp_path) == []


def test_other_files_are_never_touched(tmp_path):
    for name in ("mine", "fastdds_notes_el", "fastdds_0123_el", "sem.other", "fastdds_port_el"):
        (tmp_path / name).touch()
    assert remove_stale_segments(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 5


def test_a_system_without_that_folder_has_nothing_stale(tmp_path):
    assert stale_segments(tmp_path / "none") == [] and remove_stale_segments(tmp_path / "none") == 0
