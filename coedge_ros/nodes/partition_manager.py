"""Partition manager node: owns the camera frame, makes the plan, scatters row bands, publishes the results.

Three threads. The executor thread has this node: parameters, worker status, plan, manager status, diagnostics; what to
do is decided by `supervisor.py`. The main thread carries images, fragments and results (`frame_server.py`), over a node
of its own that is in no executor. A loader thread traces the model and solves plans.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.duration import Duration
from rclpy.node import Node

from coedge_ros.errors import UserError
from coedge_ros.execution.allocator import keep_freed_memory
from coedge_ros.execution.fragment import PROTOCOL_VERSION
from coedge_ros.graph.lower import PartitionedModel
from coedge_ros.msg import ManagerStatus, WorkerStatus
from coedge_ros.msg import PartitionPlan as PlanMessage
from coedge_ros.nodes import messages, qos, topics
from coedge_ros.nodes.adaptation import Adaptation
from coedge_ros.nodes.composition import cluster_of
from coedge_ros.nodes.frame_server import FrameServer
from coedge_ros.nodes.link_monitor import LinkMonitor, listen_to_reports
from coedge_ros.nodes.loader import Loader
from coedge_ros.nodes.manager_parameters import PARAMETERS
from coedge_ros.nodes.manager_status import ManagerReport
from coedge_ros.nodes.membership import Heard, Member, Membership
from coedge_ros.nodes.model_parameters import load_and_partition
from coedge_ros.nodes.pace import steady_timer
from coedge_ros.nodes.parameters import declare_parameters
from coedge_ros.nodes.results import ResultMaker
from coedge_ros.nodes.run import run_with_data_loop
from coedge_ros.nodes.saying import Sayer
from coedge_ros.nodes.solving import Solver
from coedge_ros.nodes.supervisor import GoAlone, IssuedPlan, MakePlan, Supervisor, SwitchTo
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.schedule import MANAGER_NAME

SUPERVISE_S = 0.1
RELEASE_LIMIT_S = 0.5  # a dead worker acknowledges nothing


class PartitionManager(Node):
    """Control side; `server` is the data side."""

    def __init__(self, **node_options):
        super().__init__("partition_manager", **node_options)
        self.values = declare_parameters(self, PARAMETERS)
        self.cluster = cluster_of(self.values["cluster"])
        expected = self.values["expected_workers"] or self.cluster.expected or self.cluster.worker_names
        self.session = random.getrandbits(63) | 1
        self.membership = Membership(tuple(expected), self.values["lost_after_s"], self.values["suspect_after_s"])
        self.supervisor = Supervisor(
            self.membership, self.session, self.values["wait_for_workers_s"], time.monotonic(), missing=list(expected)
        )
        self.adaptation = Adaptation(self.cluster, self.values)
        self.links = LinkMonitor(self, MANAGER_NAME)
        listen_to_reports(self, self.adaptation.carried)
        self.model: PartitionedModel | None = None
        self.server = FrameServer(self, self.values, self.session)
        self._epoch = 0
        self._supervised_s = time.monotonic()
        self._said = ""
        self._trouble = Sayer(self.get_logger())

        self.plans = self.create_publisher(PlanMessage, topics.PARTITION_PLAN, qos.PLAN)
        self.report = ManagerReport(self)
        group = MutuallyExclusiveCallbackGroup()  # statuses change what the supervisor looks at
        self.create_subscription(
            WorkerStatus, topics.WORKER_STATUS, self.on_worker, qos.STATUS, callback_group=group,
            event_callbacks=qos.subscription_events(self, topics.WORKER_STATUS),
        )  # fmt: skip
        steady_timer(self, SUPERVISE_S, self.supervise, group)
        self.loader = Loader(self._fail)
        self.standby = Loader(self._trouble.error)  # what is not urgent
        self.loader.submit(self._load)

    # -- loader thread ------------------------------------------------------------------------------------------------

    def _fail(self, text: str) -> None:
        self.get_logger().error(text)
        if self.model is None:
            self.report.say(ManagerStatus.STATE_ERROR, text)
        else:
            self.report.say(None, f"no plan: {text}")
            self.supervisor.failed(time.monotonic())

    def _load(self) -> None:
        self.get_logger().info(f"loads {self.values['model']}")
        loaded, model = load_and_partition(self.values)
        keep_freed_memory()
        for notice in model.graph.notices:
            self.get_logger().warning(notice)
        self.solver = Solver(model.graph, self.cluster, self.values)
        results = ResultMaker(loaded, self.cluster, self.values, self.session)
        self.server.commands.post(lambda: self.server.load(model, results))
        self.report.say(ManagerStatus.STATE_WAITING, "waits for workers")
        self.model = model

    def _plan(self, order: MakePlan) -> None:
        """Solve for the workers that are there, publish the plan under a new epoch."""
        began_s = time.monotonic()
        outcome = self.solver.solve(list(order.members), order.estimates)
        schedule = derive_schedule(self.model.graph, outcome.plan)
        self._epoch += 1
        message = messages.plan_to_message(
            outcome.plan, self.session, self._epoch,
            model=self.values["model"], model_arguments=self.values["model_arguments"],
            planner=self.values["planner"], objective=self.values["objective"],
            deadline_s=outcome.deadline_s or 0.0, frame_timeout_s=self.values["frame_timeout_s"],
            predicted_latency_s=outcome.latency_s, predicted_energy_j=outcome.energy_j,
            explanation=outcome.explanation,
        )  # fmt: skip
        message.header.stamp = self.get_clock().now().to_msg()
        instances = {m.name: m.instance for m in order.members}
        plan = IssuedPlan(
            self._epoch, schedule, message, instances, time.monotonic(), order.estimates, outcome.compute_s
        )
        self._check_depth(plan)
        self.server.commands.post(lambda: self.server.expect(plan))
        self.report.planned(plan, order.reason)
        message.planning_ms = (time.monotonic() - began_s) * 1e3
        self.plans.publish(message)
        self.supervisor.issued(plan)
        self.standby.submit(self.solver.prepare_for_losses, list(order.members), order.estimates)
        self.get_logger().info(f"{self.report.text}. {outcome.explanation}")

    def _check_depth(self, plan: IssuedPlan) -> None:
        """Too small a depth loses fragments silently, so say it."""
        in_flight = self.values["frames_in_flight"]
        name, count = messages.most_messages(plan.schedule, self.values["chunk_bytes"])
        if count * in_flight > self.values["fragment_depth"]:
            self.get_logger().warning(
                f"plan {plan.epoch} sends {name} up to {count} messages a frame, with {in_flight} frames in flight "
                f"more than fragment_depth {self.values['fragment_depth']}: raise it on all nodes"
            )

    # -- executor thread ----------------------------------------------------------------------------------------------

    def on_worker(self, message: WorkerStatus) -> None:
        """Take note of a worker."""
        if message.protocol_version != PROTOCOL_VERSION:
            self._trouble.error(
                f"worker {message.name!r} speaks protocol {message.protocol_version}, this manager {PROTOCOL_VERSION}: "
                "install the same version of coedge_ros on both"
            )
            return
        try:
            topics.check_worker_name(message.name)
        except UserError as error:
            self._trouble.error(f"a worker's status is ignored: {error}")
            return
        heard = self.membership.heard(_member(message))
        name = message.name
        if heard not in (Heard.NAMESAKE, Heard.TOO_MANY):
            self.adaptation.heard(message)
        if heard is Heard.JOINED:
            self.get_logger().info(f"worker {name} on {message.host} is there")
            cluster = self.cluster
            is_remote = name in cluster.worker_names and cluster.worker(name).host != cluster.manager_host
            self.server.commands.post(lambda: self.server.channel.connect(name, is_remote))
            if is_remote and self.values["track"]:
                self.links.probe(name)
        elif heard is Heard.RESTARTED:
            self.get_logger().warning(f"worker {name} was restarted")
        elif heard is Heard.NAMESAKE:
            self._trouble.error(
                f"two workers are called {name}, the older one is not used: give each its own worker_name"
            )

    def supervise(self) -> None:
        """Ten times per second: who is there, is a plan needed, is the proposed one prepared everywhere."""
        if self.model is None:
            return
        now_s = time.monotonic()
        late_s = now_s - self._supervised_s - SUPERVISE_S
        self._supervised_s = now_s
        if late_s > SUPERVISE_S:  # statuses may wait to be read
            self.membership.excuse(late_s)
        for name in self.membership.lose_silent(now_s, () if late_s > SUPERVISE_S else self.server.waited_for):
            self.get_logger().warning(f"worker {name} is silent: it is gone")
        self.adaptation.take_in(self.server.served)
        self.supervisor.estimates = self.adaptation.estimates
        graph = self.model.graph
        reachable = self.server.channel.matched()
        action = self.supervisor.step(now_s, graph.digest, tuple(graph.input.shape[2:]), reachable)
        if isinstance(action, MakePlan):
            self.get_logger().info(f"plans: {action.reason}")
            self.loader.submit(self._plan, action)
        elif isinstance(action, SwitchTo):
            self.report.say(ManagerStatus.STATE_ACTIVE)
            self.server.commands.post(lambda: self.server.switch(action.plan))
        elif isinstance(action, GoAlone):
            self.get_logger().error("no worker is left: the manager answers alone until one comes back")
            self.report.say(ManagerStatus.STATE_ALONE, "no worker is left: answers alone")
            self.server.commands.post(self.server.go_alone)
        elif self.supervisor.waits_for and self.supervisor.proposed is None and self.supervisor.in_force is None:
            self._say_who_is_missing(now_s)
        else:
            self._look_for_better(now_s)

    def _look_for_better(self, now_s: float) -> None:
        plan, members = self.supervisor.in_force, self.membership.members
        if plan is None or self.supervisor.proposed or not all(name in members for name in plan.instances):
            return
        if self.adaptation.should_compare(now_s, plan):
            self.standby.submit(self._compare, plan, [members[name] for name in plan.instances], now_s)

    def _compare(self, plan: IssuedPlan, members: list[Member], now_s: float) -> None:
        if order := self.adaptation.compare(self.solver, plan, members, now_s):
            self.supervisor.found_better(plan.epoch, order)

    def _say_who_is_missing(self, now_s: float) -> None:
        text = f"waits for {self.supervisor.waits_for}"
        if self.supervisor.is_alone:
            return
        self.report.say(ManagerStatus.STATE_WAITING, text)
        if text != self._said:
            self._said = text
            self.get_logger().info(text)
        if self.supervisor.is_overdue(now_s):
            self.get_logger().error(
                f"no worker after {self.values['wait_for_workers_s']:g} s: {text}. Same ROS_DOMAIN_ID, model and "
                "weights everywhere?",
                throttle_duration_sec=10.0,
            )

    def serve(self, stop: threading.Event) -> None:
        """Data loop on the main thread."""
        self.server.serve(stop)

    def close(self) -> None:
        """Tell the workers that the session ends; let go of the data side."""
        with contextlib.suppress(Exception):  # the context may be gone already
            self.plans.publish(
                PlanMessage(action=PlanMessage.RELEASE, protocol_version=PROTOCOL_VERSION, session=self.session)
            )
            self.plans.wait_for_all_acked(Duration(seconds=RELEASE_LIMIT_S))
        self.server.close()


def _member(message: WorkerStatus) -> Member:
    return Member(
        name=message.name,
        heard_s=time.monotonic(),
        ready=message.state in (WorkerStatus.STATE_READY, WorkerStatus.STATE_ACTIVE),
        digest=message.model_digest,
        size=(message.height, message.width),
        speed_macs_per_s=message.speed_macs_per_s,
        matched=frozenset(message.matched_peers),
        prepared=frozenset(zip(message.prepared_sessions, message.prepared_epochs, strict=False)),
        instance=message.instance,
        message=message.message,
    )


def main(args: list[str] | None = None) -> int:
    """Run the partition manager and return its exit code: 0 when stopped, 2 for the user's mistake."""
    return run_with_data_loop(PartitionManager, args)
