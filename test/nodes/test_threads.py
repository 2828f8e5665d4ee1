"""What the threads of a node hand each other, and what happens when something fails on the way."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from coedge_ros.errors import UserError
from coedge_ros.nodes import saying
from coedge_ros.nodes.commands import Commands
from coedge_ros.nodes.loader import MOST, Loader, any_busy
from coedge_ros.nodes.saying import Sayer
from coedge_ros.nodes.shared_memory import FOLDER

pytestmark = pytest.mark.timeout(60)


class Log:
    """Remembers what was logged."""

    def __init__(self):
        self.lines = []

    def error(self, text: str) -> None:
        self.lines.append(text)


def test_commands_run_in_their_order_and_wake_the_one_that_waits():
    woken, done = [], []
    commands = Commands(lambda: woken.append(1), Log())
    commands.post(lambda: done.append("a"))
    commands.post(lambda: done.append("b"))
    assert done == [] and woken == [1, 1]
    commands.run()
    commands.run()
    assert done == ["a", "b"]


def test_a_command_that_fails_is_logged_and_the_next_one_runs():
    log, done = Log(), []
    commands = Commands(lambda: None, log)
    commands.post(lambda: 1 / 0)
    commands.post(lambda: done.append("b"))
    commands.run()
    assert done == ["b"] and log.lines == ["ZeroDivisionError: division by zero"]


def test_the_loader_works_in_turn_on_its_own_thread_and_survives_failures():
    failures, done, ready = [], [], threading.Event()
    loader = Loader(failures.append)

    def refuse():
        raise UserError("no such model")

    loader.submit(refuse)
    loader.submit(lambda: {}["key"])
    loader.submit(done.append, threading.current_thread().name)
    loader.submit(lambda: done.append(threading.current_thread().name))
    loader.submit(ready.set)
    assert ready.wait(10)
    assert failures == ["no such model", "KeyError: 'key'"]
    assert done == [threading.current_thread().name, "loader"]


def test_any_loader_of_the_process_that_works_is_known_to_be_busy():
    release, idle = threading.Event(), Loader(lambda text: None)
    busy = Loader(lambda text: None)
    began = threading.Event()
    busy.submit(lambda: (began.set(), release.wait(10)))
    assert began.wait(10) and any_busy() and not idle.is_busy
    release.set()
    end = time.monotonic() + 10
    while busy.is_busy:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_work_for_the_loader_does_not_pile_up():
    gate, done = threading.Event(), []
    loader = Loader(lambda text: None)
    began = threading.Event()
    loader.submit(lambda: (began.set(), gate.wait()))
    assert began.wait(10)
    taken = [loader.submit(done.append, i) for i in range(1000)]
    assert sum(taken) == MOST and not taken[-1]
    finished = threading.Event()
    gate.set()
    end = time.monotonic() + 10
    while not loader.submit(finished.set):
        assert time.monotonic() < end
    assert finished.wait(10)
    assert done == list(range(sum(taken)))


def test_the_same_text_is_said_once_in_a_while_and_others_are_said_at_once(monkeypatch):
    log = Log()
    sayer = Sayer(log)
    for text in ("a", "a", "b", "a"):
        sayer.error(text)
    assert log.lines == ["a", "b"]
    now_s = time.monotonic() + saying.PERIOD_S + 0.1
    monkeypatch.setattr(saying.time, "monotonic", lambda: now_s)
    sayer.error("a")
    assert log.lines == ["a", "b", "a"]


def test_ever_new_texts_make_no_flood():
    log = Log()
    sayer = Sayer(log)
    for i in range(1000):
        sayer.error(f"text {i}")
    assert len(log.lines) == saying.MOST


NODE = """
import sys, threading
from rclpy.node import Node
from coedge_ros.errors import UserError
from coedge_ros.nodes.loader import Loader
from coedge_ros.nodes.run import run_with_data_loop

class Broken(Node):
    def __init__(self):
        super().__init__("broken")
        self.ticks = 0
        self.loader = Loader(print)
        if "--refuse" in sys.argv:
            raise UserError("parameter x must be y")
        self.create_timer(0.05, self.tick)
    def tick(self):
        self.ticks += 1
        if self.ticks < 3:
            raise RuntimeError("oops")
        print("ticks on", flush=True)
    def serve(self, stop):
        while not stop.wait(0.1):
            pass
    def close(self):
        print("closed with a context that is", self.context.ok(), flush=True)

sys.exit(run_with_data_loop(Broken, is_renewable="--renewable" in sys.argv))
"""


def node(*arguments: str) -> subprocess.Popen:
    shared_memory = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}  # which has it, whatever the profile says
    return subprocess.Popen(
        [sys.executable, "-P", "-c", NODE, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"ROS_DOMAIN_ID": "99"} | shared_memory,
    )  # fmt: skip


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_callback_that_fails_stops_no_node_and_a_signal_ends_it_in_good_order(sent):
    process = node()
    said = said_until(process, "ticks on")
    assert "RuntimeError in a callback: oops" in said
    process.send_signal(sent)
    said = process.communicate(timeout=20)[0]
    assert process.returncode == 0 and "closed with a context that is True" in said and "Traceback" not in said


def test_the_users_mistake_ends_it_with_code_2_and_one_line():
    process = node("--refuse")
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 2 and said.strip() == "error: parameter x must be y"


def said_until(process: subprocess.Popen, text: str) -> str:
    said = ""
    while text not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


def take_ports_away(pid: int) -> None:
    """What a process does that opens a port and takes its living reader for dead."""
    own = {c.laddr.port for c in psutil.Process(pid).net_connections("udp4")}
    files = [path for path in FOLDER.glob("fast*_port*") if path.name.rpartition("port")[2] in map(str, own)]
    assert files
    for path in files:
        path.unlink()


@pytest.mark.parametrize("cure", ["--renewable", ""], ids=["renewed", "said"])
def test_a_node_whose_port_was_taken_away_starts_anew_or_says_it(cure):
    process = node(*filter(None, [cure]))
    try:
        said_until(process, "ticks on")
        take_ports_away(process.pid)
        said = said_until(process, "does not hear who joins")
        assert ("starts anew" in said) == bool(cure) and ("restart this node" in said) == (not cure)
        if cure:
            assert "oops" in said_until(process, "ticks on")  # counts from 0 again
            sockets = psutil.Process(process.pid).net_connections("udp4")
            assert len(sockets) == len({c.laddr for c in sockets if c.laddr})
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0
