"""The node of `coedge watch`: hears what a cluster says of itself, and says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from coedge_ros.drawing.cluster_view import ClusterView
from coedge_ros.msg import InferenceResult, ManagerStatus, PartitionPlan, WorkerStatus
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.watch_board import WatchBoard

NOTICE_S = 0.25


class Watcher(Node):
    """Gives a `WatchBoard` what it hears: small messages only, neither images nor fragments."""

    def __init__(self, namespace: str, context: rclpy.Context):
        super().__init__("coedge_watch", namespace=namespace, context=context, start_parameter_services=False)
        self._board = board = WatchBoard(namespace, lambda: time.strftime("%H:%M:%S"))
        for kind, topic, take, profile in (
            (WorkerStatus, topics.WORKER_STATUS, board.take_worker, qos.STATUS),
            (ManagerStatus, topics.MANAGER_STATUS, board.take_manager, qos.MANAGER_STATUS),
            (PartitionPlan, topics.PARTITION_PLAN, board.take_plan, qos.PLAN),
            (InferenceResult, topics.RESULT, board.take_result, qos.RESULT),
        ):
            self.create_subscription(
                kind, topic, partial(_timed, take), profile, event_callbacks=qos.subscription_events(self, topic)
            )  # fmt: skip
        pace = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated clock that stands still must not stop it
        self.create_timer(NOTICE_S, lambda: board.notice(time.monotonic()), clock=pace)

    @property
    def has_heard(self) -> bool:
        """Whether anything was heard of the cluster."""
        return self._board.has_heard

    def view(self) -> ClusterView:
        """What the picture shows now."""
        return self._board.view(time.monotonic())


def _timed(take: Callable[[object, float], None], message: object) -> None:
    take(message, time.monotonic())
