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
from typing import Any

import torch
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from std_srvs.srv import SetBool

from coedge_ros.errors import CoedgeError, UserError
from coedge_ros.execution.allocator import give_back_freed_memory, keep_freed_memory
from coedge_ros.execution.fragment import PROTOCOL_VERSION
from coedge_ros.graph.lower import PartitionedModel
from coedge_ros.msg import ManagerStatus, WorkerStatus
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.adaptation import Adaptation
from coedge_ros.nodes.composition import cluster_of
from coedge_ros.nodes.frame_server import FrameServer
from coedge_ros.nodes.link_monitor import LinkMonitor, listen_to_reports
from coedge_ros.nodes.loader import Loader
from coedge_ros.nodes.managed import ManagedNode
from coedge_ros.nodes.manager_parameters import PARAMETERS
from coedge_ros.nodes.manager_status import ManagerReport
from coedge_ros.nodes.membership import Heard, Member, Membership
from coedge_ros.nodes.model_parameters import load_and_partition
from coedge_ros.nodes.model_switch import LoadedChange, ModelChange, offer_switch
from coedge_ros.nodes.pace import steady_timer
from coedge_ros.nodes.parameters import declare_parameters
from coedge_ros.nodes.plan_maker import PlanMaker
from coedge_ros.nodes.results import ResultMaker
from coedge_ros.nodes.run import run_with_data_loop
from coedge_ros.nodes.saying import Sayer
from coedge_ros.nodes.supervisor import GoAlone, IssuedPlan, MakePlan, Supervisor, SwitchTo
from coedge_ros.spec.schedule import MANAGER_NAME

SUPERVISE_S = 0.1
MATCHED_S = 0.5  # between two looks who is connected, when all is well: asking DDS is the dearest part of supervision
ENABLE = "~/enable"


class PartitionManager(ManagedNode):
    """Control side; `server` is the data side."""

    def __init__(self, **node_options):
        super().__init__("partition_manager", **node_options)
        self.values = declare_parameters(self, PARAMETERS)
        self.cluster = cluster_of(self.values["cluster"])
        expected = self.values["expected_workers"] or self.cluster.expected or self.cluster.worker_names
        self.session = random.getrandbits(63) | 1
        self.membership = Membership(tuple(expected), self.values["lost_after_s"], self.values["suspect_after_s"])
        self.supervisor = self._new_supervisor()
        self.adaptation = Adaptation(self.cluster, self.values)
        self.links = LinkMonitor(self, MANAGER_NAME)
        listen_to_reports(self, self.adaptation.carried)
        self.model: PartitionedModel | None = None
        self.is_enabled = True
        self.change = ModelChange(self, self._loaded)
        self.server = FrameServer(self, self.values, self.session)
        self._supervised_s = time.monotonic()
        self._said = ""
        self._matched: list[str] = []
        self._matched_s = float("-inf")
        self._trouble = Sayer(self.get_logger())

        self.planning = PlanMaker(self, self.cluster, self.values, self.session, self._trouble.error)
        self.report = ManagerReport(self)
        group = MutuallyExclusiveCallbackGroup()  # statuses change what the supervisor looks at
        self.create_subscription(
            WorkerStatus, topics.WORKER_STATUS, self.on_worker, qos.STATUS, callback_group=group,
            event_callbacks=qos.subscription_events(self, topics.WORKER_STATUS),
        )  # fmt: skip
        self._timer = steady_timer(self, SUPERVISE_S, self.supervise, group)
        self.server.look_at_suspects = self.create_guard_condition(self.supervise, group).trigger
        self.loader = Loader(self._fail)
        offer_switch(self, self.values, lambda asked: self.loader.submit(self._load_next, asked))
        self.create_service(SetBool, ENABLE, self._enable)
        self.autostart()

    # -- loader thread ------------------------------------------------------------------------------------------------

    def _fail(self, text: str) -> None:
        self.get_logger().error(text)
        if self.model is None:
            self.report.say(ManagerStatus.STATE_ERROR, text)
        else:
            self.report.say(None, f"no plan: {text}")
            self.supervisor.failed(time.monotonic())

    @property
    def is_loaded(self) -> bool:
        """See `ManagedNode`."""
        return self.model is not None

    def load(self) -> None:
        """See `ManagedNode`."""
        torch.set_num_threads(1)  # of the loader thread; more would wait for each other beside workers that compute
        self.report.say(ManagerStatus.STATE_LOADING, f"loads {self.values['model']}")
        results, model = self._loaded(self.values)
        self.planning.use(model.graph)
        self.server.commands.post(lambda: self.server.load(model, results))
        self.report.say(ManagerStatus.STATE_WAITING, "waits for workers")
        self.model = model

    def _loaded(self, values: dict[str, Any]) -> tuple[ResultMaker, PartitionedModel]:
        self.get_logger().info(f"loads {values['model']}")
        loaded, model = load_and_partition(values)
        results = ResultMaker(loaded, self.cluster, self.values, self.session, self._trouble.error)
        keep_freed_memory()
        for notice in model.graph.notices:
            self.get_logger().warning(notice)
        return results, model

    def unload(self) -> None:
        """See `ManagedNode`; the workers forget the session."""
        self.model = None
        self.change.forget()
        self.supervisor = self._new_supervisor()
        self.planning.release()
        self.server.commands.post(self.server.unload)
        give_back_freed_memory()

    def _load_next(self, asked: dict[str, Any]) -> None:
        """Load another model; the workers are asked for it when that is done."""
        if self.model is None:
            self.values.store(self, asked)  # what the node is configured with next
            return
        try:
            self.change.load(asked, self.values)
        except CoedgeError as error:
            self.get_logger().error(f"the model stays {self.values['model']}: {error}")
            self.report.say(None, f"could not change the model to {asked['model']}: {error}")

    def _plan(self, order: MakePlan) -> None:
        plan = self.planning.make(order)
        self.server.commands.post(lambda: self.server.expect(plan))
        self.report.planned(plan, order.reason)
        self.planning.publish(plan)
        self.supervisor.issued(plan)
        self.planning.prepare_for_losses(order, plan)
        self.get_logger().info(f"{self.report.text}. {plan.message.explanation}")

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
        name, member = message.name, _member(message)
        before = self.membership.members.get(name)
        heard = self.membership.heard(member)
        is_news = False
        if heard not in (Heard.NAMESAKE, Heard.TOO_MANY):
            self.adaptation.heard(message)
            is_news = before is None or member.standing != before.standing
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
        if is_news:  # somebody may wait for just this
            self._matched_s = float("-inf")
        if is_news or time.monotonic() - self._supervised_s > 0.5 * SUPERVISE_S:  # awake as it is: the timer need not
            self.supervise()

    def supervise(self) -> None:
        """Ten times per second and when a worker has news: who is there, what plan is needed, is it prepared."""
        now_s = time.monotonic()
        late_s = now_s - self._supervised_s - SUPERVISE_S
        self._supervised_s = now_s
        self._timer.reset()
        if late_s > SUPERVISE_S:  # statuses may wait to be read
            self.membership.excuse(late_s)
        for name, silent_s in self.server.silences().items():
            self.membership.lives(name, now_s - silent_s)
        for name in self.membership.lose_silent(now_s, {} if late_s > SUPERVISE_S else self.server.waited_for):
            self.get_logger().warning(f"worker {name} is silent: it is gone")
        if self.model is not None and self.is_active:
            self._act(now_s)

    def _act(self, now_s: float) -> None:
        self.adaptation.take_in(self.server.served)
        self.supervisor.estimates = self.adaptation.estimates
        limit_s = self.values["wait_for_workers_s"]
        # a plan under way for the model before would be taken for one of the next
        if not self.supervisor.is_planning and (found := self.change.look(self.membership.members, now_s, limit_s)):
            self._use(found)
        self.membership.busy = self.change.lacking
        if aims := self.planning.changed_aims():
            self.supervisor.aims_changed(aims)
        graph = self.model.graph
        if now_s - self._matched_s > MATCHED_S or not self.supervisor.is_settled:
            self._matched_s, self._matched = now_s, self.server.channel.matched()
        size = tuple(graph.input.shape[2:])
        action = self.supervisor.step(now_s, graph.digest, size, self._matched)
        if isinstance(action, MakePlan):
            self.get_logger().info(f"plans: {action.reason}")
            self.loader.submit(self._plan, action)
        elif isinstance(action, SwitchTo):
            self.report.say(ManagerStatus.STATE_ACTIVE)
            self.server.commands.post(lambda: self.server.switch(action))
            self.server.commands.post(self.report.send_soon)  # images are read by then
        elif isinstance(action, GoAlone):
            self.get_logger().error("no worker is left: the manager answers alone until one comes back")
            self.report.say(ManagerStatus.STATE_ALONE, "no worker is left: answers alone")
            self.server.commands.post(self.server.go_alone)
            self.server.commands.post(self.report.send_soon)
        elif self.supervisor.waits_for and self.supervisor.proposed is None and self.supervisor.in_force is None:
            self._say_who_is_missing(now_s)
        else:
            self._look_for_better(now_s)

    def _use(self, found: LoadedChange) -> None:
        """Plan for another model from now on."""
        self.values.store(self, found.asked)
        self.planning.use(found.model.graph)
        self.supervisor, self.model = self._new_supervisor(), found.model
        self.server.commands.post(lambda: self.server.change_model(found.model, found.results))
        self.get_logger().info(f"answers with {found.asked['model']} from now on")

    def _look_for_better(self, now_s: float) -> None:
        plan, members = self.supervisor.in_force, self.membership.members
        if plan is None or self.supervisor.proposed or not all(name in members for name in plan.instances):
            return
        if self.adaptation.should_compare(now_s, plan):
            self.planning.standby.submit(self._compare, plan, [members[name] for name in plan.instances], now_s)

    def _compare(self, plan: IssuedPlan, members: list[Member], now_s: float) -> None:
        if order := self.adaptation.compare(self.planning.solver, plan, members, now_s):
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

    def _new_supervisor(self) -> Supervisor:
        membership = self.membership
        return Supervisor(
            membership, self.session, self.values["wait_for_workers_s"], time.monotonic(),
            missing=list(membership.expected),
        )  # fmt: skip

    def start_work(self) -> None:
        """See `ManagedNode`: frames are served as soon as there is a plan, at once where there is one from before."""
        self.supervisor.started_s = time.monotonic()
        self.links.is_on = True
        self._set_door()

    def stop_work(self) -> None:
        """See `ManagedNode`: no images are taken, frames under way are finished, the plan stays."""
        self.links.is_on = False
        self._set_door()
        self.speak()

    def speak(self) -> None:
        """See `ManagedNode`."""
        self.report.send()

    def _set_door(self) -> None:
        is_open = self.is_active and self.is_enabled
        self.server.commands.post(lambda: self.server.let_in(is_open))

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self.is_enabled = request.data
        self._set_door()
        response.success, response.message = True, self.why_no_images() or "takes images"
        return response

    def why_no_images(self) -> str:
        """Why no images are taken although the manager could, for people; "" when they are, or it cannot."""
        if self.is_loading or self.report.state == ManagerStatus.STATE_ERROR:
            return ""
        if not self.is_active:
            return self.state_text()
        name = self.get_fully_qualified_name()
        return "" if self.is_enabled else f"disabled: ros2 service call {name}/enable std_srvs/SetBool '{{data: true}}'"

    def serve(self, stop: threading.Event) -> None:
        """Data loop on the main thread."""
        self.server.serve(stop)

    def close(self) -> None:
        """Tell the workers that the session ends; let go of the data side."""
        with contextlib.suppress(Exception):  # the context may be gone already
            self.planning.release()
            self.planning.wait_until_heard()
        self.planning.close()
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
