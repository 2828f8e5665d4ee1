"""Clusters for tests: real processes over real DDS, on a domain of their own, on this machine only.

Every wait has a limit and, when it is over, says what was awaited and shows the end of all logs.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from coedge_ros.msg import InferenceResult, ManagerStatus, PartitionPlan, WorkerStatus
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.collector import Listening, Record
from coedge_ros.nodes.composition import ClusterOptions, ProcessSpec, cluster_processes, local_environment
from coedge_ros.nodes.domains import free_domain
from coedge_ros.nodes.image_codec import encode_image
from coedge_ros.nodes.processes import ProcessGroup
from coedge_ros.nodes.shared_memory import remove_stale_segments

os.environ.update(local_environment())

NAMESPACE = "coedge"
START_LIMIT_S = 100.0  # seconds when nothing else runs; a busy machine imports torch slowly
TEST_FOLDER = Path(__file__).parents[1]
WORKERS = ("worker_1", "worker_2", "worker_3")
HEIGHT, WIDTH = 97, 131  # divided evenly by nothing
FIXED_SHARES = {"partition_manager": "support.entries:manager_with_fixed_shares"}
MANAGER = {  # no image is lost on the way in, and none is given up because the machine is busy
    "publish_tensors": True,
    "image_reliable": True,
    "queue_frames": 1000,
    "frames_in_flight": 3,
    "frame_timeout_s": 6.0,
}


class Scripted(ProcessGroup):
    """Processes of which some are run by a function of the tests instead of the product's entry point."""

    def __init__(self, entries: dict[str, str], **options):
        super().__init__(**options)
        self.entries = entries

    def code_of(self, spec: ProcessSpec) -> str:
        if spec.name not in self.entries:
            return super().code_of(spec)
        module, _, function = self.entries[spec.name].partition(":")
        return f"import sys; from {module} import {function}; sys.exit({function}())"


class Cluster:
    """A cluster, a listener, and a camera: use it as a context manager.

    Parameters
    ----------
    folder : Path
        For logs.
    options : ClusterOptions
        What to start.
    entries : dict of str to str
        Process name to `module:function` of the tests that runs it.
    without : tuple of str
        Processes that are not started.
    """

    def __init__(
        self,
        folder: Path,
        options: ClusterOptions,
        entries: dict[str, str] | None = None,
        without: Iterable[str] = (),
        environment: dict[str, str] | None = None,
    ):
        self.folder, self.options = folder, options
        self.domain = free_domain()
        self.specs = {spec.name: spec for spec in cluster_processes(options) if spec.name not in set(without)}
        path = os.pathsep.join(filter(None, [str(TEST_FOLDER), os.environ.get("PYTHONPATH")]))
        variables = {"ROS_DOMAIN_ID": str(self.domain), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self.group = Scripted(entries or {}, environment=variables | (environment or {}), output=folder)
        self._stamps = itertools.count(1)
        self._may_end: set[str] = set()
        self.manager_may_fail = False

    def __enter__(self) -> Cluster:
        remove_stale_segments()
        self.group.start(self.specs.values())
        try:
            self.listening = Listening(NAMESPACE, self.domain).__enter__()
            self.images = self.node.create_publisher(Image, topics.IMAGE, qos.CAMERA_OUTPUT)
        except BaseException:
            self.group.stop()
            raise
        return self

    def __exit__(self, *exception) -> None:
        try:
            self.listening.__exit__(*exception)
        finally:
            self.group.__exit__(*exception)
            remove_stale_segments()

    @property
    def node(self):
        """The listener's node: tests make publishers and subscriptions of their own in it."""
        return self.listening.node

    @property
    def record(self) -> Record:
        return self.listening.record

    @property
    def manager(self) -> ManagerStatus:
        return self.record.status or ManagerStatus()

    def worker(self, name: str) -> WorkerStatus:
        return self.record.workers.get(name) or WorkerStatus()

    # -- waiting ------------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], object], what: str, limit_s: float = 20.0) -> None:
        """Listen until `condition()` is true."""
        end = time.monotonic() + limit_s
        while not condition():
            crashed = {n: c for n, c in self.group.ended().items() if n not in self._may_end}
            assert not crashed, f"ended unexpectedly: {crashed}\n{self.logs()}"
            is_broken = self.manager.state == ManagerStatus.STATE_ERROR and not self.manager_may_fail
            assert not is_broken, f"{self._state()}\n{self.logs()}"
            assert time.monotonic() < end, f"not within {limit_s} s: {what}. {self._state()}\n{self.logs()}"
            self.listening.spin(0.02)

    def listen(self, seconds: float) -> None:
        """Listen for a while, where what must NOT come is of interest."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.listening.spin(0.02)

    def wait_until_active(self, workers: Iterable[str] = WORKERS, limit_s: float = START_LIMIT_S) -> None:
        """Wait until frames are served by exactly these workers; those that have ended are started again."""
        for name in set(self.group.ended()) & set(workers):
            self.start(name)
        wanted = set(workers)
        self.until(lambda: self._serves(wanted), f"active with {sorted(wanted)}", limit_s)
        end = time.monotonic() + 1.0  # its reader of images is heard of about now, where it reads the plain topic
        while self.images.get_subscription_count() == 0 and time.monotonic() < end:
            self.listening.spin(0.02)

    def _serves(self, workers: set[str]) -> bool:
        status = self.manager
        if status.state != ManagerStatus.STATE_ACTIVE:
            return False
        epoch = (status.session, status.epoch)
        plans = [p for p in self.record.plans if (p.session, p.epoch) == epoch]
        said = [self.worker(name) for name in workers]
        return (
            bool(plans)
            and set(plans[-1].workers) == workers
            and all(self._is_young(message) for message in (status, *said))
            and all(epoch in zip(w.prepared_sessions, w.prepared_epochs, strict=True) for w in said)
        )

    def _is_young(self, message: ManagerStatus | WorkerStatus) -> bool:
        now_s = self.node.get_clock().now().nanoseconds * 1e-9
        return now_s - message.header.stamp.sec - message.header.stamp.nanosec * 1e-9 < 1.5

    def plan(self) -> PartitionPlan:
        """The plan in force."""
        status = self.manager
        return [p for p in self.record.plans if (p.session, p.epoch) == (status.session, status.epoch)][-1]

    def refresh(self) -> None:
        """Wait until manager and workers have said what they count now."""
        now = self.node.get_clock().now().to_msg()
        self.until(
            lambda: all(
                (m.header.stamp.sec, m.header.stamp.nanosec) > (now.sec, now.nanosec)
                for m in (self.manager, *self.record.workers.values())
            ),
            "a new status of all",
        )

    # -- acting -------------------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a process again that has ended."""
        self._may_end.discard(name)
        self.group.start([self.specs[name]])

    def kill(self, *names: str) -> None:
        """End processes without a word (kill -9), and forget what they have said."""
        self._may_end.update(names)
        for name in names:
            self.group.children[name].kill()
        for name in names:
            self.group.children[name].wait()
        self.listen(0.2)
        for name in names:
            self.record.workers.pop(name, None)

    def stop(self, name: str) -> None:
        """Interrupt a process, as Ctrl-C does, and wait for its end."""
        self._may_end.add(name)
        self.group.children[name].send_signal(signal.SIGINT)
        self.group.children[name].wait(20)

    def send(self, pixels: np.ndarray) -> int:
        """Publish an image; returns its stamp in seconds, which is unique."""
        stamp = next(self._stamps)
        header = Header(frame_id="test")
        header.stamp.sec = stamp
        self.images.publish(encode_image(pixels, header))
        return stamp

    def send_paced(self, frames: Iterable[np.ndarray], period_s: float = 0.03) -> list[int]:
        """Publish images one after the other, listening in between, so that no queue overflows."""
        stamps = []
        for frame in frames:
            stamps.append(self.send(frame))
            self.listen(period_s)
        return stamps

    def results_of(self, stamp: int) -> list[InferenceResult]:
        return [r for r in self.record.results if r.header.stamp.sec == stamp]

    def answers(self, stamps: Iterable[int], limit_s: float = 30.0) -> list[InferenceResult]:
        """The one result of each image; fails when one has none within the limit, or has two."""
        stamps = list(stamps)
        self.until(lambda: all(map(self.results_of, stamps)), f"results of images {stamps}", limit_s)
        self.listen(0.3)  # for a second one
        found = [self.results_of(stamp) for stamp in stamps]
        assert [len(results) for results in found] == [1] * len(stamps), self._state()
        return [results[0] for results in found]

    def ask(self, pixels: np.ndarray, limit_s: float = 30.0) -> InferenceResult:
        """The result of one image."""
        return self.answers([self.send(pixels)], limit_s)[0]

    # -- for people ---------------------------------------------------------------------------------------------------

    def log_of(self, name: str) -> str:
        path = self.group.log_of(name)
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self, lines: int = 15) -> str:
        """The end of every log."""
        return "\n".join(
            f"--- {name}:\n" + "\n".join(self.log_of(name).splitlines()[-lines:]) for name in self.group.children
        )

    def _state(self) -> str:
        status = self.manager
        workers = {name: (w.state, w.message, list(w.matched_peers)) for name, w in self.record.workers.items()}
        return (
            f"Manager: state {status.state}, epoch {status.epoch}, {status.message!r}, missing {list(status.missing)}, "
            f"accepted {status.frames_accepted}, answered {status.frames_answered}. Workers: {workers}. "
            f"Results: {len(self.record.results)}."
        )
