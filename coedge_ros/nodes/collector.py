"""Listens to a cluster: results, names of pictures, worker and manager status, plans. For the demo and the tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient

from coedge_ros.msg import FrameName, InferenceResult, ManagerStatus, PartitionPlan, WorkerStatus
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.frame_matcher import Stamp, stamp_of
from coedge_ros.nodes.security import security_told
from coedge_ros.nodes.shared_memory import hold_dead_ports


@dataclass
class Record:
    """What was heard."""

    results: list[InferenceResult] = field(default_factory=list)
    names: dict[Stamp, str] = field(default_factory=dict)
    workers: dict[str, WorkerStatus] = field(default_factory=dict)
    plans: list[PartitionPlan] = field(default_factory=list)
    status: ManagerStatus | None = None

    def name_of(self, result: InferenceResult) -> str:
        """Name of the picture that a result is for, by its stamp and frame_id."""
        return self.names.get(stamp_of(result.header), "")

    def labels(self) -> dict[str, str]:
        """Best label of each picture (frames of videos, whose names hold a #, are left out)."""
        return {
            name: r.classes[0].label
            for r in self.results
            if r.classes and (name := self.name_of(r)) and "#" not in name
        }


class Collector(Node):
    """Subscribes to everything small that a cluster says."""

    def __init__(self, namespace: str, context: rclpy.Context, name: str = "collector"):
        super().__init__(name, namespace=namespace, context=context)
        self.record = Record()
        r = self.record
        self.create_subscription(InferenceResult, topics.RESULT, r.results.append, qos.RESULT)
        self.create_subscription(FrameName, topics.FRAME_NAME, self._name, qos.FRAME_NAME)
        self.create_subscription(WorkerStatus, topics.WORKER_STATUS, self._worker, qos.STATUS)
        self.create_subscription(ManagerStatus, topics.MANAGER_STATUS, self._manager, qos.MANAGER_STATUS)
        self.create_subscription(PartitionPlan, topics.PARTITION_PLAN, r.plans.append, qos.PLAN)

    def _name(self, message: FrameName) -> None:
        self.record.names[stamp_of(message.header)] = message.name

    def _worker(self, message: WorkerStatus) -> None:
        self.record.workers[message.name] = message

    def _manager(self, message: ManagerStatus) -> None:
        self.record.status = message


class Listening:
    """A collector in a context of its own, spun by the caller: use it as a context manager.

    Parameters
    ----------
    namespace : str
        Of the cluster.
    domain_id : int, optional
        ROS domain; that of the environment when left out.
    make : callable
        Makes the node that listens, of a namespace and a context.
    """

    def __init__(
        self, namespace: str, domain_id: int | None = None, make: Callable[[str, rclpy.Context], Node] = Collector
    ):
        self.namespace, self.domain_id, self.make = namespace, domain_id, make

    def __enter__(self) -> Listening:
        self.context = rclpy.Context()
        with security_told():
            rclpy.init(context=self.context, domain_id=self.domain_id)
            # Otherwise those who knew a killed process may take this one for it, and not talk to it.
            held = hold_dead_ports(self.context.get_domain_id())
            try:
                self.node = self.make(self.namespace, self.context)
            finally:
                for one in held:
                    one.close()
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        return self

    @property
    def record(self) -> Record:
        """What was heard until now."""
        return self.node.record

    def spin(self, seconds: float) -> None:
        """Handle messages for a moment."""
        self.executor.spin_once(timeout_sec=seconds)

    def __exit__(self, *exception) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def set_parameter(self, node: str, name: str, value: object, limit_s: float = 5.0) -> bool:
        """Change a parameter of a node of the namespace: whether it was taken."""
        client = AsyncParameterClient(self.node, node)
        if not client.wait_for_services(limit_s):
            return False
        future = client.set_parameters([Parameter(name, value=value)])
        end = time.monotonic() + limit_s
        while not future.done() and time.monotonic() < end:
            self.spin(0.05)
        return future.done() and all(result.successful for result in future.result().results)
