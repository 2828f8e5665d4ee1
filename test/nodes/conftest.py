"""What the tests of nodes share: a ROS context on a domain of its own, and nodes as processes."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from coedge_ros.nodes.composition import local_environment

os.environ.update(local_environment())
_NUMBERS = itertools.count(os.getpid() * 7)


class RosBench:
    """A context on its own domain, an executor, and nodes that end with the test."""

    def __init__(self):
        self.domain_id = 1 + next(_NUMBERS) % 100
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain_id)
        self.executor = SingleThreadedExecutor(context=self.context)
        self._nodes, self._processes = [], []

    def node(self, make=Node, *args, **options):
        """Make a node in this context and spin it with the others."""
        node = make(*args, context=self.context, **options)
        self.executor.add_node(node)
        self._nodes.append(node)
        return node

    def start(self, module: str, *ros_arguments: str) -> subprocess.Popen:
        """Start `module`'s main in a process of its own on the same domain."""
        code = f"import sys; from {module} import main; sys.exit(main())"
        command = [sys.executable, "-c", code, *(["--ros-args", *ros_arguments] if ros_arguments else [])]
        environment = os.environ | {"ROS_DOMAIN_ID": str(self.domain_id), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def spin_until(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Spin all nodes until `condition()` holds; fail after `limit_s`."""
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, f"not reached within {limit_s} s"
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        """End processes and nodes."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for node in self._nodes:
            node.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def ros():
    """A `RosBench` for one test."""
    bench = RosBench()
    yield bench
    bench.close()
