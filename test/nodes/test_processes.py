"""Processes that start and end together."""

import os
import signal
import sys
import time
from dataclasses import replace

import psutil
import pytest

from coedge_ros.nodes.composition import ProcessSpec
from coedge_ros.nodes.processes import ProcessGroup

pytestmark = pytest.mark.timeout(60)


class Group(ProcessGroup):
    """Runs Python code of the tests under names of nodes."""

    def __init__(self, code: dict[str, str], **options):
        super().__init__(**options)
        self.code = code

    def code_of(self, spec: ProcessSpec) -> str:
        return self.code.get(spec.name) or super().code_of(spec)


POLITE = "import time\nprint('up', flush=True)\ntry:\n  time.sleep(60)\nexcept KeyboardInterrupt:\n  print('bye')"
DEAF = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"


def specs(*names: str) -> list[ProcessSpec]:
    return [ProcessSpec("worker", name, "coedge") for name in names]


def wait_until(condition, what: str, limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.02)


def wait_until_up(group: Group, *names: str) -> None:
    wait_until(lambda: all("up" in group.log_of(name).read_text() for name in names), f"{names} are up")


def test_all_are_interrupted_at_the_end_and_each_has_a_log_of_its_own(tmp_path):
    with Group({"a": POLITE, "b": POLITE}, output=tmp_path / "logs") as group:
        group.start(specs("a", "b"))
        wait_until_up(group, "a", "b")
        assert group.ended() == {}
        children = [psutil.Process(child.pid) for child in group.children.values()]
    assert group.ended() == {"a": 0, "b": 0}
    assert not any(child.is_running() for child in children)
    assert group.log_of("a").read_text() == group.log_of("b").read_text() == "up\nbye\n"


def test_one_that_does_not_listen_is_killed_after_the_grace_period(tmp_path):
    with Group({"a": POLITE, "deaf": DEAF}, output=tmp_path) as group:
        group.start(specs("a", "deaf"))
        wait_until_up(group, "a", "deaf")
        group.stop(grace_s=0.5)
        assert group.ended() == {"a": 0, "deaf": -signal.SIGKILL}


def test_they_end_when_starting_fails_half_way(tmp_path):
    bad = ProcessSpec("worker", "no/such/folder", "coedge")
    with pytest.raises(FileNotFoundError), Group({"a": POLITE}, output=tmp_path) as group:
        group.start([*specs("a"), bad])
    assert list(group.ended()) == ["a"]


def test_a_second_interrupt_while_they_end_kills_them_at_once(tmp_path):
    group = Group({"deaf": DEAF}, output=tmp_path)
    group.start(specs("deaf"))
    wait_until_up(group, "deaf")
    previous = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            group.stop(grace_s=30)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert time.monotonic() - began < 10 and group.ended() == {"deaf": -signal.SIGKILL}


def test_exit_codes_of_those_that_end_early_are_told(tmp_path):
    with Group({"a": POLITE, "b": "import sys; sys.exit(3)"}, output=tmp_path) as group:
        group.start(specs("a", "b"))
        wait_until(group.ended, "b ends")
        assert group.ended() == {"b": 3}


def test_one_that_is_started_again_goes_on_in_its_log(tmp_path):
    with Group({"a": "print('here')"}, output=tmp_path) as group:
        for count in (1, 2):
            group.start(specs("a"))
            wait_until(group.ended, "it ends")
            assert group.log_of("a").read_text() == "here\n" * count


def test_they_are_interrupted_when_their_parent_is_killed(tmp_path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from coedge_ros.nodes.composition import ProcessSpec\n"
        "from coedge_ros.nodes.processes import ProcessGroup\n"
        f"ProcessGroup.code_of = lambda self, spec: {POLITE!r}\n"
        f"group = ProcessGroup(output=Path({str(tmp_path)!r}))\n"
        "group.start([ProcessSpec('worker', 'a', 'coedge')])\n"
        "print(group.children['a'].pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    import subprocess

    parent = subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    log = tmp_path / "a.log"
    wait_until(lambda: "up" in log.read_text(), "the child is up")
    parent.kill()
    parent.communicate()
    wait_until(lambda: "bye" in log.read_text() and not child.is_running(), "the child has ended")


def test_nodes_get_name_namespace_remappings_and_parameters(tmp_path):
    code = "import sys; print(sys.argv[1:])\nprint(open(sys.argv[sys.argv.index('--params-file') + 1]).read())"
    spec = ProcessSpec(
        "worker", "w", "fleet", {"names": ("a", "b"), "threads": 2, "text": "yes"}, (("image", "/cam"),), "/f/w"
    )
    with Group({"w": code}, output=tmp_path, log_level="warn") as group:
        group.start([spec])
        wait_until(group.ended, "it ends")
        said = group.log_of("w").read_text()
    for part in ("'__node:=w'", "'__ns:=/fleet'", "'image:=/cam'", "'--enclave', '/f/w'", "'--log-level', 'warn'"):
        assert part in said
    assert "ros__parameters:" in said and "threads: 2" in said and "text: 'yes'" in said  # a text stays a text


def test_the_environment_has_the_dds_profile_and_what_the_user_adds(tmp_path, monkeypatch):
    for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(name, raising=False)
    code = (
        "import os; print({k: v for k, v in os.environ.items() if 'PROFILES' in k or k in ('MINE', 'PYTHONSAFEPATH')})"
    )
    with Group({"w": code}, output=tmp_path, environment={"MINE": "7"}) as group:
        group.start(specs("w"))
        wait_until(group.ended, "it ends")
        said = group.log_of("w").read_text()
    assert "'MINE': '7'" in said and "'PYTHONSAFEPATH': '1'" in said and "fastdds_wired.xml" in said
    assert "MINE" not in os.environ


def test_what_is_a_processes_own_goes_before_what_all_have(tmp_path):
    code = "import os; print(os.environ['MINE'])"
    own, plain = specs("own", "plain")
    with Group({"own": code, "plain": code}, output=tmp_path, environment={"MINE": "all"}) as group:
        group.start([replace(own, environment={"MINE": "own"}), plain])
        wait_until(group.ended, "they end")
        wait_until(lambda: all(group.log_of(n).read_text() for n in ("own", "plain")), "they have said it")
        assert group.log_of("own").read_text() == "own\n" and group.log_of("plain").read_text() == "all\n"
