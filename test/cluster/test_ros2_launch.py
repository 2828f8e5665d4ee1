"""The launch files under ROS's own `launch`: two clusters in one graph, moved by namespaces and remappings.

Without `launch` and `launch_ros` nothing here runs; test/nodes/test_launch_files.py shows what the files ask for.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from support.cluster import START_LIMIT_S

from coedge_ros.msg import InferenceResult
from coedge_ros.nodes import qos
from coedge_ros.nodes.composition import share_folder
from coedge_ros.nodes.domains import free_domain
from coedge_ros.nodes.image_codec import encode_image

SUPPORT = Path(__file__).parents[1] / "support"
SIDES = ("left", "right")
PROCESSES = sorted(2 * ["worker", "worker", "partition_manager", "load_visualizer"])
END_LIMIT_S = 30.0
pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.skipif(
        find_spec("launch_ros") is None,
        reason="launch and launch_ros come with a ROS 2 installation, not among the wheels",
    ),
]

CLUSTER = """\
hosts: [{name: here}]
workers:
  - {name: worker_1, host: here, speed_factor: 0.1}
  - {name: worker_2, host: here, speed_factor: 0.1}
links:
  default: {alpha_s: 0.0003, bytes_per_s: 500e6}
"""


def is_package(name: str) -> bool:
    """Whether ROS knows a package of this name."""
    prefixes = (os.environ.get("AMENT_PREFIX_PATH") or sys.prefix).split(os.pathsep)
    return any((Path(prefix) / "share" / name / "package.xml").exists() for prefix in prefixes)


class Launched:
    """The launch file in a process group of its own, as a terminal has it, and a node beside it."""

    def __init__(self, folder: Path, file: Path, **arguments: object):
        self.log, self._ended, self.domain = folder / "launch.log", folder / "ended.json", free_domain()
        cluster = folder / "two_workers.yaml"
        cluster.write_text(CLUSTER)
        environment = {
            # A sourced installation names its prefixes; an environment into which everything was put by pip is one.
            "AMENT_PREFIX_PATH": os.environ.get("AMENT_PREFIX_PATH") or sys.prefix,
            "ROS_DOMAIN_ID": str(self.domain),
            "ROS_LOG_DIR": str(folder / "ros_log"),
            "OMP_NUM_THREADS": "1",
        }
        given = [f"{name}:={value}" for name, value in ({"cluster": cluster} | arguments).items()]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, SUPPORT / "run_launch.py", file, self._ended, *given],
                env=os.environ | environment, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.node = rclpy.create_node("asks_both", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def interrupt(self) -> int:
        """Ctrl-C: everything in the terminal's process group gets SIGINT; returns the exit code of the launch."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(END_LIMIT_S)

    def ended(self) -> list[list]:
        """Name and exit code of each process that has ended."""
        return json.loads(self._ended.read_text()) if self._ended.exists() else []

    def is_alone(self) -> bool:
        """Whether nobody of the process group is left."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        if not self.is_alone():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def launch(tmp_path):
    started = []

    def of(file: Path, **arguments: object) -> Launched:
        started.append(Launched(tmp_path, file, **arguments))
        return started[-1]

    yield of
    for one in started:
        one.close()


def test_a_cluster_included_twice_answers_on_both_remapped_topics_and_ends_cleanly(launch, weights, reference):
    launched = launch(SUPPORT / "two_clusters.launch.py", weights=weights)
    node, results = launched.node, {}
    images = {side: node.create_publisher(Image, f"/{side}_camera/image_raw", qos.CAMERA_OUTPUT) for side in SIDES}
    for side in SIDES:
        node.create_subscription(
            InferenceResult, f"/answers/{side}", lambda r, side=side: results.setdefault(side, r), qos.RESULT
        )
    pictures = dict(zip(SIDES, reference.frames(2), strict=True))
    end = time.monotonic() + START_LIMIT_S
    while set(results) != set(SIDES):
        assert launched.process.poll() is None and not launched.ended(), launched.log.read_text()
        assert time.monotonic() < end, f"answers on {set(results)} only:\n{launched.log.read_text()}"
        for side in set(SIDES) - set(results):
            images[side].publish(encode_image(pictures[side], Header(frame_id=side)))
        launched.spin(0.3)

    for side, result in results.items():
        best = int(reference.answer(pictures[side]).argmax())
        assert (result.header.frame_id, result.classes[0].id) == (side, best)
        assert result.workers and not result.fallback_reason
    assert results["left"].session != results["right"].session
    namespaces = {(name, namespace) for name, namespace in node.get_node_names_and_namespaces()}
    assert {("partition_manager", "/left/coedge"), ("partition_manager", "/right")} <= namespaces

    assert launched.interrupt() == 0, launched.log.read_text()
    assert sorted(name.rpartition("-")[0] for name, _ in launched.ended()) == PROCESSES
    assert {code for _, code in launched.ended()} == {0}, launched.log.read_text()
    assert "Traceback" not in launched.log.read_text()
    assert launched.is_alone()


@pytest.mark.skipif(is_package("rviz2"), reason="rviz2 is installed")
def test_without_rviz2_nothing_is_started_that_would_be_left_running(launch):
    launched = launch(share_folder() / "launch" / "cluster.launch.py", rviz="true")
    assert launched.process.wait(END_LIMIT_S) != 0
    assert "package 'rviz2' not found" in launched.log.read_text()
    assert launched.is_alone() and "process started" not in launched.log.read_text()
