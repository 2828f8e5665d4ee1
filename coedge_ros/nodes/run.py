"""One way to run a node as a process: exit codes, the user's mistakes in one line, a quiet Ctrl-C."""

import signal
import sys
from collections.abc import Callable
from typing import Protocol

import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.task import Future

from coedge_ros.errors import UserError

EXIT_DONE = 0  # finished by itself, or asked to stop
EXIT_USER_ERROR = 2  # as command line tools do


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
    rclpy.init(args=args)
    node = None
    try:
        node = make_node()
        rclpy.spin_until_future_complete(node, node.done)
        return EXIT_DONE
    except (UserError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        # stderr as well as the log: a start from a script should not need to read ROS logs.
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    except (KeyboardInterrupt, ExternalShutdownException):
        return EXIT_DONE
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a launch file sends a second one while the first is handled
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
