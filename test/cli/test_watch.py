"""`coedge watch`, `record` and `play` where there is no cluster."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from coedge_ros.cli.main import main
from coedge_ros.cli.stopping import stop_on_signal
from coedge_ros.nodes.composition import local_environment
from coedge_ros.nodes.domains import free_domain


@pytest.fixture(autouse=True)
def _own_domain(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain()))
    for name, value in local_environment().items():
        monkeypatch.setenv(name, value)


def test_watch_of_nobody_says_so_and_is_no_success(capsys):
    assert main(["watch", "--once", "--seconds", "0.2", "--namespace", "nobody"]) == 1
    said = capsys.readouterr()
    assert "no manager heard" in said.out and "'nobody'" in said.err
    assert max(map(len, said.out.splitlines())) <= 100


def test_watch_without_a_terminal_prints_picture_after_picture(capsys, monkeypatch):
    monkeypatch.setattr("coedge_ros.cli.watch.SNAPSHOT_S", 0.1)
    main(["watch", "--seconds", "0.5"])
    assert capsys.readouterr().out.count("no manager heard") >= 2


def test_ctrl_c_ends_watch_quietly(capsys, monkeypatch):
    monkeypatch.setattr("coedge_ros.cli.watch.SNAPSHOT_S", 0.1)
    monkeypatch.setattr("coedge_ros.cli.watch._print", lambda *_: signal.raise_signal(signal.SIGINT))
    assert main(["watch"]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_in_a_terminal_it_is_live_and_leaves_the_terminal_as_it_was():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    command = [sys.executable, "-c", "import sys; from coedge_ros.cli.main import main; sys.exit(main())", "watch"]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm", "PYTHONSAFEPATH": "1"}
    )
    os.close(theirs)
    try:
        shown = _read_until(ours, b"no worker heard")
        assert b"\x1b[?1049h" in shown  # the other screen
        process.send_signal(signal.SIGINT)
        shown = _read_until(ours, b"\x1b[?1049l")
        assert process.wait(20) == 0 and b"Traceback" not in shown
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_until(terminal: int, words: bytes, limit_s: float = 60.0) -> bytes:
    end, found = time.monotonic() + limit_s, b""
    while words not in found:
        assert time.monotonic() < end, found.decode(errors="replace")
        if select.select([terminal], [], [], 0.5)[0]:
            found += os.read(terminal, 65536)
    return found


def test_a_second_ctrl_c_is_as_ever():
    with stop_on_signal() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    "arguments,words",
    [
        (["watch", "--seconds", "-1"], "--seconds"),
        (["record", "file.bag"], ".mcap"),
        (["play", "/no/such/file.mcap"], "No such file"),
        (["play", "x.mcap", "--rate", "0"], "--rate"),
    ],
)
def test_mistakes_are_told_in_one_line(capsys, arguments, words):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_recording_of_nobody_is_a_whole_file_and_no_success(tmp_path, capsys):
    path = tmp_path / "empty.mcap"
    assert main(["record", str(path), "--seconds", "0.2", "--namespace", "nobody"]) == 1
    assert path.read_bytes().startswith(b"\x89MCAP") and "nothing heard" in capsys.readouterr().err


def test_play_that_nobody_reads_gives_up(tmp_path, capsys):
    from sensor_msgs.msg import Image

    from coedge_ros.nodes import qos
    from coedge_ros.nodes.bag_writer import BagWriter

    with BagWriter(tmp_path / "a.mcap") as writer:
        writer.add_topic("/image", Image, [qos.CAMERA_OUTPUT])
    assert main(["play", str(tmp_path / "a.mcap"), "--wait", "0.1"]) == 2
    assert "nobody reads" in capsys.readouterr().err
