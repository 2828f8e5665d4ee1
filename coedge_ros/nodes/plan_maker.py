"""From an order of the supervisor to a plan with an epoch: solves, words the message, publishes it. Loader threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node

from coedge_ros.execution.fragment import PROTOCOL_VERSION
from coedge_ros.msg import PartitionPlan as PlanMessage
from coedge_ros.nodes import messages, qos, topics
from coedge_ros.nodes.loader import Loader
from coedge_ros.nodes.solving import AIMS, Solver
from coedge_ros.nodes.supervisor import IssuedPlan, MakePlan
from coedge_ros.planning.apart import SearchApart
from coedge_ros.spec.cluster import ClusterSpec
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.graph import ModelGraph

RELEASE_LIMIT_S = 0.5  # a dead worker acknowledges nothing


class PlanMaker:
    """Makes the plans of one session.

    Parameters
    ----------
    node : Node
        The manager's control node.
    cluster : ClusterSpec
        Of the cluster file.
    values : dict
        The manager's parameters, followed as they change.
    session : int
        Of the manager.
    on_error : callable
        Gets what goes wrong in work that is not urgent.

    Attributes
    ----------
    standby : Loader
        Thread for what is not urgent.
    solver : Solver
        Of the model in use; not there before `use`.
    """

    def __init__(
        self, node: Node, cluster: ClusterSpec, values: dict[str, Any], session: int, on_error: Callable[[str], None]
    ):
        self._node, self._cluster, self._values, self._session = node, cluster, values, session
        self._publisher = node.create_publisher(PlanMessage, topics.PARTITION_PLAN, qos.PLAN)
        self._epoch = 0
        self.standby = Loader(on_error)
        self._search = SearchApart()
        self.solver: Solver | None = None
        self._aims: tuple = ()

    def use(self, graph: ModelGraph) -> None:
        """Plan for this model from now on."""
        self.solver = Solver(graph, self._cluster, self._values, self._search)
        self._aims = self.solver.aims()

    def make(self, order: MakePlan) -> IssuedPlan:
        """Solve; the plan gets the next epoch and is not yet published.

        Raises
        ------
        UserError
            When there is nothing to plan.
        """
        began_s = time.monotonic()
        solve = self.solver.solve_at_once if order.is_urgent else self.solver.solve
        outcome = solve(list(order.members), order.estimates)
        schedule = derive_schedule(self.solver.graph, outcome.plan)
        self._epoch += 1
        message = messages.plan_to_message(
            outcome.plan, self._session, self._epoch,
            model=self._values["model"], model_arguments=self._values["model_arguments"],
            planner=self._values["planner"], objective=self._values["objective"],
            deadline_s=outcome.deadline_s or 0.0, frame_timeout_s=self._values["frame_timeout_s"],
            predicted_latency_s=outcome.latency_s, predicted_energy_j=outcome.energy_j,
            explanation=outcome.explanation, planning_ms=(time.monotonic() - began_s) * 1e3,
        )  # fmt: skip
        message.header.stamp = self._node.get_clock().now().to_msg()
        instances = {m.name: m.instance for m in order.members}
        plan = IssuedPlan(
            self._epoch, schedule, message, instances, time.monotonic(), outcome.estimates, outcome.compute_s,
            outcome.is_quick,
        )  # fmt: skip
        self._check_depth(plan)
        return plan

    def publish(self, plan: IssuedPlan) -> None:
        """Let the workers prepare a plan."""
        self._publisher.publish(plan.message)

    def prepare_for_losses(self, order: MakePlan, plan: IssuedPlan) -> None:
        """Have a plan for the loss of each worker as soon as there is time."""
        self.standby.submit(self.solver.prepare_for_losses, list(order.members), order.estimates, plan.schedule.plan)

    def changed_aims(self) -> str:
        """What plans are made for, in words, when it is another thing than at the last call; else ""."""
        aims = self.solver.aims()
        if aims == self._aims:
            return ""
        self._aims = aims
        return ", ".join(f"{name} {value}" for name, value in zip(AIMS, aims, strict=True))

    def release(self) -> None:
        """Let the workers forget the session."""
        self._publisher.publish(
            PlanMessage(action=PlanMessage.RELEASE, protocol_version=PROTOCOL_VERSION, session=self._session)
        )

    def wait_until_heard(self) -> None:
        """Wait until the workers have what was published, for a short time at most."""
        self._publisher.wait_for_all_acked(Duration(seconds=RELEASE_LIMIT_S))

    def close(self) -> None:
        """End what searches for plans."""
        self._search.close()

    def _check_depth(self, plan: IssuedPlan) -> None:
        """Too small a depth loses fragments silently, so say it."""
        in_flight, depth = self._values["frames_in_flight"], self._values["fragment_depth"]
        name, count = messages.most_messages(plan.schedule, self._values["chunk_bytes"])
        if count * in_flight > depth:
            self._node.get_logger().warning(
                f"plan {plan.epoch} sends {name} up to {count} messages a frame, with {in_flight} frames in flight "
                f"more than fragment_depth {depth}: raise it on all nodes"
            )
