"""Transitions of a managed node, also when what they do goes wrong."""

import threading

import pytest
from lifecycle_msgs.msg import State
from rclpy.lifecycle import TransitionCallbackReturn

from coedge_ros.errors import UserError
from coedge_ros.nodes.loader import Loader
from coedge_ros.nodes.managed import ManagedNode

SUCCESS, FAILURE, ERROR = (getattr(TransitionCallbackReturn, name) for name in ("SUCCESS", "FAILURE", "ERROR"))


class Machine(ManagedNode):
    """Loads a word; what it is told to fail at fails once."""

    def __init__(self, autostart=False, fails=(), slow: threading.Event | None = None, **options):
        super().__init__("machine", **options)
        self.values = {"autostart": autostart}
        self.failures, self.slow = list(fails), slow
        self.word, self.told, self.spoken, self.did = None, [], 0, []
        self.loader = Loader(self.told.append)
        self.autostart()

    def _do(self, what):
        if what in self.failures:
            self.failures.remove(what)
            raise UserError(f"cannot {what}")
        self.did.append(what)

    @property
    def is_loaded(self):
        return self.word is not None

    def load(self):
        if self.slow:
            self.slow.wait()
        self._do("load")
        self.word = "loaded"

    def unload(self):
        self._do("unload")
        self.word = None

    def start_work(self):
        self._do("start")

    def stop_work(self):
        self._do("stop")

    def speak(self):
        self.spoken += 1

    @property
    def state(self):
        return self._state_machine.current_state[0]


def test_the_whole_circle_and_again(ros):
    node = ros.node(Machine)
    for _ in range(2):
        assert node.trigger_configure() == SUCCESS and node.is_loaded and "activate" in node.state_text()
        assert node.trigger_activate() == SUCCESS and node.is_active
        assert node.trigger_deactivate() == SUCCESS and not node.is_active and node.is_loaded
        assert node.trigger_cleanup() == SUCCESS and not node.is_loaded and "configure" in node.state_text()
    assert node.did == ["load", "start", "stop", "unload"] * 2


def test_what_cannot_be_loaded_leaves_it_unconfigured_with_the_reason_and_can_be_tried_again(ros):
    node = ros.node(Machine, fails=["load"])
    assert node.trigger_configure() == FAILURE
    assert node.state == State.PRIMARY_STATE_UNCONFIGURED and node.told == ["cannot load"]
    assert node.trigger_configure() == SUCCESS and node.state == State.PRIMARY_STATE_INACTIVE


def test_a_transition_that_raises_leads_back_to_the_start(ros):
    node = ros.node(Machine, fails=["start"])
    node.trigger_configure()
    assert node.trigger_activate() == ERROR
    assert node.state == State.PRIMARY_STATE_UNCONFIGURED and not node.is_active and not node.is_loaded
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS


def test_statuses_go_out_while_a_transition_waits_and_the_end_of_the_process_ends_the_wait(ros):
    slow = threading.Event()
    node = ros.node(Machine, slow=slow)
    timer = threading.Timer(0.7, slow.set)
    timer.start()
    assert node.trigger_configure() == SUCCESS and node.spoken >= 2
    node.trigger_cleanup()
    slow.clear()
    node.stopping.set()
    assert node.trigger_configure() == FAILURE
    slow.set()


@pytest.mark.parametrize("fails", [[], ["load"]])
def test_with_autostart_it_becomes_active_by_itself_unless_it_cannot_load(ros, fails):
    node = ros.node(Machine, autostart=True, fails=fails)
    ros.spin_until(lambda: node.is_active or node.told, 10.0)
    assert node.is_active != bool(fails)
    if fails:
        assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    assert node.trigger_shutdown() == SUCCESS and not node.is_loaded
    assert node.state == State.PRIMARY_STATE_FINALIZED
