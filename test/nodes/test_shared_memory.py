"""What killed processes have left in shared memory goes; what living ones use stays."""

import contextlib
import fcntl
import mmap
import os
import socket
import time

import pytest

from coedge_ros.nodes.shared_memory import (
    OwnPorts,
    bytes_in_use,
    dead_ports,
    hold_dead_ports,
    remove_stale_segments,
    stale_segments,
)

SEGMENT, PORT = "fastdds_0123456789abcdef", "fastdds_port7411"


def leave(folder, name: str, size: int = 100) -> None:
    (folder / name).write_bytes(b"x" * size)
    lock = folder / f"{name}_el"
    lock.touch()
    an_hour_ago = time.time() - 3600
    os.utime(lock, (an_hour_ago, an_hour_ago))


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


def test_a_segment_that_has_just_been_made_stays_because_its_owner_may_be_about_to_lock_it(tmp_path):
    leave(tmp_path, SEGMENT)
    os.utime(tmp_path / f"{SEGMENT}_el")
    assert stale_segments(tmp_path) == []


def test_what_processes_use_and_what_nobody_owns_is_counted(tmp_path):
    leave(tmp_path, SEGMENT, 4096)
    port = tmp_path / PORT
    port.write_bytes(b"x" * 8192)
    assert bytes_in_use([os.getpid()], tmp_path) == 4096
    with port.open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert bytes_in_use([os.getpid()], tmp_path) == 4096 + 8192


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


def test_a_port_whose_reader_is_dead_stays_while_somebody_writes_to_it(tmp_path):
    """Fast DDS makes it anew under its mutex; without that a restarted reader sat at another port than its writers."""
    leave(tmp_path, PORT)
    (tmp_path / f"sem.{PORT}_mutex").write_bytes(b"x" * 8)
    with (tmp_path / PORT).open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert remove_stale_segments(tmp_path) == 0
    assert remove_stale_segments(tmp_path) == 108


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


def test_ports_of_dead_readers_are_those_without_a_lock_or_removed_while_somebody_has_them_open(tmp_path):
    for number in (7411, 7413, 7415, 7400, 7661):
        leave(tmp_path, f"fastdds_port{number}")
    with contextlib.ExitStack() as opened:
        for number in (7411, 7413, 7415, 7400, 7661):
            file = opened.enter_context((tmp_path / f"fastdds_port{number}").open("r+b"))
            opened.enter_context(mmap.mmap(file.fileno(), 0))
        fcntl.flock(opened.enter_context((tmp_path / "fastdds_port7413_el").open()), fcntl.LOCK_EX)  # its reader lives
        (tmp_path / "fastdds_port7415_el").unlink()  # a reader has taken it over, or left in good order
        assert dead_ports(0, tmp_path) == [7411]  # 7400 is for multicast, 7661 another domain's
        (tmp_path / "fastdds_port7415").unlink()
        assert dead_ports(0, tmp_path) == [7411, 7415]
        assert dead_ports(1, tmp_path) == [7661]
    assert dead_ports(0, tmp_path) == []


def test_the_numbers_of_dead_readers_are_occupied_until_they_are_let_go(tmp_path):
    port = 7400 + 250 * 99 + 10 + 101  # of a domain and a participant that nobody uses
    leave(tmp_path, f"fastdds_port{port}")
    with (tmp_path / f"fastdds_port{port}").open("r+b") as file, mmap.mmap(file.fileno(), 0):
        # two processes that start at the same time: what the first lets go, the second still holds
        held = [hold_dead_ports(99, tmp_path) for _ in range(2)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            for sockets in held:
                with pytest.raises(OSError, match="in use"):
                    other.bind(("", port))
                for one in sockets:
                    one.close()
            other.bind(("", port))
            assert hold_dead_ports(99, tmp_path) == []  # a participant has it


def test_a_port_of_this_process_that_another_made_anew_is_torn(tmp_path):
    with contextlib.ExitStack() as opened:
        names = []
        for _ in range(2):
            own = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            own.bind(("", 0))
            names.append(f"fastdds_port{own.getsockname()[1]}")
            leave(tmp_path, names[-1])
        leave(tmp_path, "fastdds_port1")  # somebody else's, which this process only writes to
        for name in (*names, "fastdds_port1"):
            file = opened.enter_context((tmp_path / name).open("r+b"))
            opened.enter_context(mmap.mmap(file.fileno(), 0))
        ports = OwnPorts(tmp_path)
        assert ports.torn() == []
        (tmp_path / "fastdds_port1").unlink()
        assert ports.torn() == []
        (tmp_path / "other").write_bytes(b"x")
        (tmp_path / "other").rename(tmp_path / names[0])
        assert ports.torn() == [names[0]]
        (tmp_path / names[1]).unlink()
        assert ports.torn() == sorted(names) == OwnPorts(tmp_path).torn()  # also where it was torn before
