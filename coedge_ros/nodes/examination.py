"""`coedge doctor --live`: listens to a cluster for some seconds and checks what it heard."""

from __future__ import annotations

import time

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from coedge_ros.msg import ManagerStatus, PartitionPlan, WorkerStatus
from coedge_ros.nodes import cluster_checks, qos, topics
from coedge_ros.nodes.cluster_checks import Endpoint, HeardManager, HeardPlan, HeardWorker
from coedge_ros.nodes.manager_status import STATES as MANAGER_STATES
from coedge_ros.nodes.security import security_told
from coedge_ros.spec.cluster import ClusterSpec
from coedge_ros.spec.finding import Finding

NAME = "coedge_doctor"
_MOST = 512  # processes that are remembered: names come from the network
_EVERY_NODE_HAS = ("/rosout", "/parameter_events")


class Examiner(Node):
    """Hears statuses and plans, and asks discovery for endpoints."""

    def __init__(self, namespace: str, context: rclpy.Context | None = None):
        super().__init__(NAME, namespace=namespace, context=context)
        self.workers: dict[tuple[str, int], HeardWorker] = {}
        self.plan: HeardPlan | None = None
        self.manager: HeardManager | None = None
        self.create_subscription(WorkerStatus, topics.WORKER_STATUS, self._worker, qos.STATUS)
        self.create_subscription(PartitionPlan, topics.PARTITION_PLAN, self._plan, qos.PLAN)
        self.create_subscription(ManagerStatus, topics.MANAGER_STATUS, self._manager, qos.MANAGER_STATUS)

    def _worker(self, message: WorkerStatus) -> None:
        key, now_s = (message.name, message.instance), time.monotonic()
        stamp = message.header.stamp
        behind_s = time.time() - stamp.sec - stamp.nanosec * 1e-9
        heard = self.workers.get(key)
        if heard is None and len(self.workers) >= _MOST:
            return
        self.workers[key] = HeardWorker(
            message.name, message.instance, message.host, message.protocol_version, message.model_digest,
            (message.height, message.width), message.message if message.state == WorkerStatus.STATE_ERROR else "",
            heard.first_s if heard else now_s, now_s, min(behind_s, heard.clock_s) if heard else behind_s,
            message.message if message.state == WorkerStatus.STATE_RESTING else "",
            message.message if message.state == WorkerStatus.STATE_INACTIVE else "",
        )  # fmt: skip

    def _plan(self, message: PartitionPlan) -> None:
        if message.action == PartitionPlan.PREPARE:
            size = (message.height, message.width)
            self.plan = HeardPlan(message.protocol_version, message.model_digest, size)

    def _manager(self, message: ManagerStatus) -> None:
        state = MANAGER_STATES.get(message.state, "error")
        self.manager = HeardManager(state, message.message, tuple(message.missing), message.frames_received)

    def managers(self) -> int:
        """How many processes publish a manager's status in this namespace."""
        return self.count_publishers(self.resolve_topic_name(topics.MANAGER_STATUS))

    def has_heard_all(self, cluster: ClusterSpec | None) -> bool:
        """Whether the manager and all workers that it waits for have said something."""
        expected = cluster.expected if cluster else ()
        return self.manager is not None and set(expected) <= {name for name, _ in self.workers}

    def endpoints(self) -> list[Endpoint]:
        """All but our own, on every topic of the namespace and on what its nodes use elsewhere."""
        found = []
        for topic in sorted(self._topics()):
            publishers, readers = self.get_publishers_info_by_topic(topic), self.get_subscriptions_info_by_topic(topic)
            for info, is_publisher in [(i, True) for i in publishers] + [(i, False) for i in readers]:
                if info.node_name != NAME:
                    found.append(Endpoint(topic, info.node_name, is_publisher, info.topic_type, info.qos_profile))
        return found

    def _topics(self) -> set[str]:
        own = self.get_namespace()
        start = own.rstrip("/") + "/"
        names = {name for name, _ in self.get_topic_names_and_types() if name.startswith(start)}
        for node, namespace in self.get_node_names_and_namespaces():
            if namespace != own:
                continue
            for ask in (self.get_publisher_names_and_types_by_node, self.get_subscriber_names_and_types_by_node):
                try:
                    names |= {name for name, _ in ask(node, namespace)}
                except Exception as error:  # rclpy's NodeNameNonExistentError has moved between distributions
                    self.get_logger().debug(f"{node} has gone meanwhile: {error}")
        return names - set(_EVERY_NODE_HAS)


def findings_of(examiner: Examiner, cluster: ClusterSpec | None) -> list[Finding]:
    """All checks of what was heard."""
    workers = list(examiner.workers.values())
    expected = cluster.expected if cluster else tuple(w.name for w in workers)
    known = cluster.worker_names if cluster else ()
    newest = {w.name: w for w in sorted(workers, key=lambda w: w.last_s)}  # a restarted worker once
    current = list(newest.values())
    return [
        *cluster_checks.check_members(expected, workers, examiner.managers(), known),
        *cluster_checks.check_manager(examiner.manager),
        cluster_checks.check_protocol(current, examiner.plan),
        *cluster_checks.check_model(current, examiner.plan),
        *cluster_checks.check_clocks(current),
        *cluster_checks.check_endpoints(examiner.endpoints()),
    ]


def examine(namespace: str, cluster: ClusterSpec | None, listen_s: float) -> list[Finding]:
    """Listen to the cluster of a namespace in this process's ROS domain, then check.

    Parameters
    ----------
    listen_s : float
        For so long, and up to twice as long while somebody is missing.
    """
    context = rclpy.Context()
    try:
        with security_told():
            rclpy.init(args=[], context=context)
            examiner = Examiner(namespace, context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(examiner)
        end = time.monotonic() + listen_s
        last = end + listen_s  # for whoever is missing: on busy hosts discovery takes seconds
        while (now_s := time.monotonic()) < end or (now_s < last and not examiner.has_heard_all(cluster)):
            executor.spin_once(timeout_sec=min(0.1, last - now_s))
        findings = findings_of(examiner, cluster)
        executor.shutdown()
        examiner.destroy_node()
        return findings
    finally:
        rclpy.try_shutdown(context=context)
