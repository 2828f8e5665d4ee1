"""A managed (lifecycle) node: `ros2 lifecycle set` loads, starts, stops and unloads it at any time.

configure:  loads the model; the transition ends when that is done
activate:   opens the data path
deactivate: closes it; what is loaded stays, little is sent
cleanup:    lets go of the model

Statuses go out in all states. With the parameter `autostart` the node configures and activates itself, without holding
up its executor while it loads.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import State
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from coedge_ros.nodes.loader import Loader
from coedge_ros.nodes.pace import steady_timer
from coedge_ros.nodes.parameters import Parameter

AUTOSTART = Parameter("autostart", True, "Whether it configures and activates itself at start.", read_only=True)
FOLLOW_S = 0.02  # between two looks whether loading is over
SPEAK_S = 0.2  # between two statuses while a transition waits
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class ManagedNode(LifecycleNode, ABC):
    """Turns transitions into `load`, `start_work`, `stop_work` and `unload` of the node that derives from it.

    Attributes
    ----------
    is_active : bool
        Whether the data path is open.
    stopping : threading.Event
        Set when the process ends.
    """

    values: dict[str, Any]
    loader: Loader

    def __init__(self, name: str, **node_options):
        super().__init__(name, **node_options)
        self.is_active = False
        self.stopping = threading.Event()
        self._loading: threading.Event | None = None  # set when loading is over, for good or ill

    # -- what a node does ---------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def is_loaded(self) -> bool:
        """Whether the model is there."""

    @abstractmethod
    def load(self) -> None:
        """Load the model. Loader thread; what it raises is told by the loader."""

    @abstractmethod
    def unload(self) -> None:
        """Let go of the model. Loader thread."""

    @abstractmethod
    def start_work(self) -> None:
        """Open the data path. Executor thread, as all of these but the first two."""

    @abstractmethod
    def stop_work(self) -> None:
        """Close the data path; what is under way is finished."""

    @abstractmethod
    def speak(self) -> None:
        """Send a status: timers rest while a transition waits."""

    # -- transitions --------------------------------------------------------------------------------------------------

    def autostart(self) -> None:
        """To be called at the end of the constructor: begin at once unless the parameter says otherwise."""
        if self.values[AUTOSTART.name]:
            self._begin_loading()
            self._follower = steady_timer(self, FOLLOW_S, self._follow)

    def state_text(self) -> str:
        """Why an inactive node does nothing, and how to change that."""
        name = self.get_fully_qualified_name()
        if not self.is_loaded:
            return f"not configured: ros2 lifecycle set {name} configure"
        return f"inactive: ros2 lifecycle set {name} activate"

    @property
    def is_loading(self) -> bool:
        """Whether the model is being loaded."""
        return self._loading is not None and not self._loading.is_set()

    def _begin_loading(self) -> None:
        self._loading = self._on_loader(self.load)

    def _on_loader(self, function: Callable[[], None]) -> threading.Event:
        over = threading.Event()

        def run() -> None:
            try:
                function()
            finally:
                over.set()

        if not self.loader.submit(run):
            over.set()  # it has more to do than can wait
        return over

    def _follow(self) -> None:
        if self.is_loading:
            return
        self.destroy_timer(self._follower)
        if not self.is_loaded:
            return  # it has said why; to be configured again
        if self._state_machine.current_state[0] == State.PRIMARY_STATE_UNCONFIGURED:
            self.trigger_configure()
            self.trigger_activate()

    def _wait(self, over: threading.Event) -> bool:
        while not over.wait(SPEAK_S):
            if self.stopping.is_set():
                return False
            self.speak()
        return True

    def _try(self, work: Callable[[], None], text: str) -> TransitionCallbackReturn:
        try:
            work()
        except Exception as error:  # rclpy would not say which
            self.get_logger().error(f"{type(error).__name__}: {error}")
            return TransitionCallbackReturn.ERROR
        self.get_logger().info(text)
        return SUCCESS

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; FAILURE when that is not possible, so that it can be tried again."""
        if not self.is_loaded and not self.is_loading:
            self._begin_loading()
        return SUCCESS if self._wait(self._loading) and self.is_loaded else FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the data path."""
        self.is_active = True
        return self._try(self.start_work, "active")

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the data path; the model stays."""
        self.is_active = False
        return self._try(self.stop_work, self.state_text())

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model."""
        done = self._wait(self._on_loader(self.unload))
        self.get_logger().info(self.state_text())
        return SUCCESS if done else FAILURE

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop for good, from any state; the process ends with its next signal."""
        if self.is_active:
            self.on_deactivate(state)
        return self.on_cleanup(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition has raised: begin again from the start."""
        self.get_logger().error(f"a transition from {state.label} has failed: the node is not configured any more")
        self.is_active = False
        return self.on_cleanup(state)
