"""One way to run a node as a process: exit codes, the user's mistakes in one line, a quiet Ctrl-C."""

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    NotInitializedException,
)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from coedge_ros.errors import UserError
from coedge_ros.nodes.loader import Loader, any_busy
from coedge_ros.nodes.saying import Sayer
from coedge_ros.nodes.security import security_told, warn_if_unsecured
from coedge_ros.nodes.shared_memory import OwnPorts, hold_dead_ports, remove_stale_segments

EXIT_DONE = 0  # finished by itself, or asked to stop
EXIT_USER_ERROR = 2  # as command line tools do
# A thread that wants to run waits so long for one that computes in Python, each time that it comes back from DDS: with
# Python's 5 ms a frame would take tens of milliseconds longer while a plan is solved.
SWITCH_S = 0.0005
PORTS_S = 2.0  # between two looks at the ports in shared memory
MISSED_S = 1.0  # a signal just before rclpy waits does not wake it: a node without timers would wait for ever
STARTS_ANEW = "starts anew"  # in the log line of a node that does


class Runnable(Protocol):
    """What `run_node` runs: a node that knows when it is done and what to do at the end."""

    done: Future  # completed when the node has nothing left to do; a node that runs until Ctrl-C never completes it

    def close(self) -> None:
        """Called once after spinning, with the context still valid unless a signal ended it."""


def run_node(make_node: Callable[[], Node], args: list[str] | None = None) -> int:
    """Make a node, spin it until it is done or a signal comes, and return the exit code.

    Parameters
    ----------
    make_node : callable
        Makes the node (see `Runnable`) once rclpy is initialised.
    args : list of str, optional
        Command line; None for the process's own.
    """
    node, is_up = None, False
    try:
        with security_told(), _numbers_of_its_own():
            rclpy.init(args=args)
            is_up = True
            node = make_node()
        warn_if_unsecured(node, args)
        executor = SingleThreadedExecutor()
        while rclpy.ok() and not node.done.done():
            rclpy.spin_until_future_complete(node, node.done, executor, timeout_sec=MISSED_S)
        return EXIT_DONE
    except (UserError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        # stderr as well as the log: a start from a script should not need to read ROS logs.
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    except (KeyboardInterrupt, ExternalShutdownException):
        return EXIT_DONE
    except (RCLError, NotInitializedException):
        # rclpy's signal handler ends the context on a thread of its own: whatever was just using it fails like this.
        if not is_up or rclpy.ok():
            raise
        return EXIT_DONE
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a launch file sends a second one while the first is handled
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()


@contextlib.contextmanager
def _numbers_of_its_own() -> Iterator[None]:
    """The participant made inside takes no shared-memory port of a killed process that others still have open."""
    domain = os.environ.get("ROS_DOMAIN_ID", "")
    held = hold_dead_ports(int(domain) if domain.isdecimal() else 0)
    try:
        yield
    finally:
        for one in held:
            one.close()


class Server(Protocol):
    """What `run_with_data_loop` runs: a node whose main thread carries data, and whose `loader` does slow work."""

    loader: Loader
    stopping: threading.Event  # set when the process ends

    def serve(self, stop: threading.Event) -> None:
        """Data loop of the main thread, until `stop` is set; waits for no longer than a fraction of a second."""

    def close(self) -> None:
        """Called once after serving, with the context still valid."""


def run_with_data_loop(make_node: Callable[[], Node], args: list[str] | None = None, is_renewable: bool = False) -> int:
    """Make a node, spin it on a thread of its own while the main thread serves, and return the exit code.

    Signals are handled here and not by rclpy, which would end the context before the node could say goodbye to its
    peers.

    Parameters
    ----------
    make_node : callable
        Makes the node (see `Server`) once rclpy is initialised.
    args : list of str, optional
        Command line; None for the process's own.
    is_renewable : bool
        Whether the process may start itself anew when messages of newcomers can no longer reach it, see `OwnPorts`.
        Otherwise it says so and goes on.
    """
    stop, renew = threading.Event(), threading.Event()
    sys.setswitchinterval(SWITCH_S)
    remove_stale_segments()  # also where nobody starts the cluster as a whole, and a worker is killed now and then
    try:
        with security_told():
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR

    def end(*_) -> None:
        renew.clear()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    executor = SingleThreadedExecutor()
    node, thread, code = None, None, EXIT_DONE
    try:
        with security_told(), _numbers_of_its_own():
            node = make_node()
        warn_if_unsecured(node, args)
        executor.add_node(node)
        node.stopping = stop
        deaf = _Deafness(node, renew if is_renewable else None)
        thread = threading.Thread(target=_spin, args=(executor, node, stop, deaf.look), name="control")
        thread.start()
        node.serve(stop)
    except (UserError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = EXIT_USER_ERROR
    finally:
        stop.set()
        if thread is not None:
            thread.join()
        executor.shutdown()
        if node is not None:
            with contextlib.suppress(Exception):  # the context may have been ended by somebody else
                node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    if renew.is_set():
        _start_anew()
    if any_busy():
        # A thread inside torch cannot be stopped; ending the interpreter under it would abort the process.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    gc.freeze()  # or the interpreter searches all of torch for garbage before it ends, for a second or two
    return code


def _start_anew() -> None:
    """Become a fresh process with the same command, number and parent."""
    sys.stdout.flush()
    sys.stderr.flush()
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2:  # beyond standard error; what DDS has left open would be held for as long as the process lives
            with contextlib.suppress(OSError):
                os.set_inheritable(number, False)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


class _Deafness:
    """Looks now and then whether newcomers are still heard, and says it when they are not."""

    def __init__(self, node: Node, renew: threading.Event | None):
        self._ports, self._log, self._renew = OwnPorts(), node.get_logger(), renew
        self._next_s = 0.0

    def look(self) -> bool:
        """Whether the process must be started anew; called often."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + PORTS_S
        if not (torn := self._ports.torn()):
            return False
        cure = "restart this node" if self._renew is None else STARTS_ANEW
        self._log.error(
            f"others have made {', '.join(torn)} in shared memory anew, so this node does not hear who joins: {cure}",
            throttle_duration_sec=60.0,
        )
        if self._renew is not None:
            self._renew.set()
        return self._renew is not None


def _spin(
    executor: SingleThreadedExecutor, node: Node, stop: threading.Event, must_end: Callable[[], bool] = lambda: False
) -> None:
    """Run callbacks until `stop` is set or `must_end()`; one that fails is logged, and the others go on."""
    trouble = Sayer(node.get_logger())
    while not stop.is_set() and node.context.ok() and not must_end():
        try:
            executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            break
        except Exception as error:
            trouble.error(f"{type(error).__name__} in a callback: {error}")
    stop.set()
