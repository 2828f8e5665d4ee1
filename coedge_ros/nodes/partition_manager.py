"""Partition manager node: owns the camera frame, makes the plan, scatters row bands, publishes the results.

As in the worker, a data node in no executor carries images, fragments and results on the main thread; the control
node has parameters, worker status, plan and diagnostics on an executor thread; a loader thread traces the model and
solves plans.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import signal
import sys
import threading
import time

import rclpy
import torch
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image

from coedge_ros.errors import UserError
from coedge_ros.execution.coordinator import FrameCoordinator
from coedge_ros.execution.fragment import MANAGER_NAME, PROTOCOL_VERSION, FrameKey
from coedge_ros.graph.loading import LoadedModel, load_model
from coedge_ros.graph.lower import PartitionedModel, partition_model
from coedge_ros.msg import ClassScore, InferenceResult, ManagerStatus, WorkerStatus
from coedge_ros.msg import PartitionPlan as PlanMessage
from coedge_ros.nodes import messages, qos, topics
from coedge_ros.nodes.answers import SelfCheck, best_classes, run_alone
from coedge_ros.nodes.commands import Commands
from coedge_ros.nodes.composition import cluster_of
from coedge_ros.nodes.dds_channel import DdsChannel, make_data_node
from coedge_ros.nodes.frames import Frame, FrameBook
from coedge_ros.nodes.image_codec import decode_image, resize_to
from coedge_ros.nodes.loader import Loader
from coedge_ros.nodes.membership import Member, Membership
from coedge_ros.nodes.model_parameters import MODEL_PARAMETERS, input_size_of
from coedge_ros.nodes.parameters import Parameter, declare_parameters
from coedge_ros.nodes.solving import Solver
from coedge_ros.nodes.wait_set import ignore, wait_for
from coedge_ros.spec.schedule import Schedule, derive_schedule

PARAMETERS = (
    *MODEL_PARAMETERS,
    Parameter("cluster", "", "Cluster file: workers, powers, links; empty for the one that is shipped.",
    read_only=True), Parameter("expected_workers", (), "Workers to wait for; empty for all of the cluster file.",
    read_only=True), Parameter("wait_for_workers_s", 30.0, "Plan without those that are not there by then.", "s", 0.0,
    3600.0), Parameter("planner", "coedge", "How rows are shared out.", read_only=True),
    Parameter("objective", "energy", "What is made small.", choices=("energy", "latency", "throughput"),
    read_only=True), Parameter("deadline_s", 0.0, "Latency deadline of a frame; 0 for none.", "s", 0.0, 3600.0,
    read_only=True), Parameter(
        "deadline_factor", 0.0, "Deadline as a multiple of the predicted best single worker, instead of deadline_s.",
        "", 0.0, 100.0, read_only=True,
    ),
    Parameter("frames_in_flight", 1, "Frames with the workers at the same time.", "frames", 1, 16, read_only=True),
    Parameter("queue_frames", 1, "Frames that wait; a newer one replaces the oldest.", "frames", 1, 1000,
    read_only=True), Parameter("image_reliable", False, "Ask the camera for reliable delivery.", read_only=True),
    Parameter("frame_timeout_s", 2.0, "A frame unanswered for so long is issued again.", "s", 0.05, 600.0),
    Parameter("lost_after_s", 1.5, "A worker silent for so long is gone.", "s", 0.2, 60.0, read_only=True),
    Parameter("self_check_every", 0, "Recompute every Nth frame whole and compare; 0 for never.", "frames", 0),
    Parameter("classes", 5, "Best classes in a result.", "", 0, 1000),
    Parameter("publish_tensors", False, "Put the outputs themselves into the result."),
    Parameter("fragment_depth", 256, "Fragments that may be in flight to it.", "messages", 8, 8192, read_only=True),
    Parameter("chunk_bytes", 262144, "Largest payload of one message.", "bytes", 1024, 16777216, read_only=True),
)  # fmt: skip


class PartitionManager(Node):
    """Control side on the executor thread; `serve` is the main thread's data loop."""

    def __init__(self):
        super().__init__("partition_manager")
        self.values = declare_parameters(self, PARAMETERS)
        self.cluster = cluster_of(self.values["cluster"])
        expected = self.values["expected_workers"] or self.cluster.expected or self.cluster.worker_names
        self.membership = Membership(tuple(expected), self.values["lost_after_s"])
        self.session = random.getrandbits(63) | 1
        self.epoch = 0
        self.started_s = time.monotonic()
        self.state, self.text, self.missing = ManagerStatus.STATE_LOADING, "starts", list(expected)
        self.replans = 0
        self.model: PartitionedModel | None = None
        self.loaded: LoadedModel | None = None
        self.proposed: tuple[int, Schedule, PlanMessage] | None = None  # published, not yet acknowledged by all
        self.in_force: tuple[int, Schedule, PlanMessage] | None = None  # used by the data loop
        self._planning = False
        self._waited_for: tuple[str, ...] = ()

        self.data_node = make_data_node(self)
        depth, chunk = self.values["fragment_depth"], self.values["chunk_bytes"]
        self.channel = DdsChannel(self.data_node, MANAGER_NAME, depth, chunk, self.resolve_topic_name)
        self.coordinator = FrameCoordinator(self.channel)
        self.book = FrameBook(self.values["frames_in_flight"], self.values["queue_frames"])
        self.commands = Commands(self.channel.inlet.wake)
        self.images = None
        self.results = self.data_node.create_publisher(
            InferenceResult, self.resolve_topic_name(topics.RESULT), qos.RESULT
        )
        self.check: SelfCheck | None = None

        self.plans = self.create_publisher(PlanMessage, topics.PARTITION_PLAN, qos.PLAN)
        self.status = self.create_publisher(ManagerStatus, topics.MANAGER_STATUS, qos.MANAGER_STATUS)
        self.create_subscription(
            WorkerStatus, topics.WORKER_STATUS, self.on_worker, qos.STATUS,
            callback_group=MutuallyExclusiveCallbackGroup(),
            event_callbacks=qos.subscription_events(self, topics.WORKER_STATUS),
        )  # fmt: skip
        self.create_timer(0.1, self.supervise, callback_group=MutuallyExclusiveCallbackGroup())
        self.create_timer(0.5, self.send_status, callback_group=MutuallyExclusiveCallbackGroup())
        self.loader = Loader(self._fail)
        self.loader.submit(self._load)

    # -- loader thread
    # ---------------------------------------------------------------------------------------------------

    def _fail(self, text: str) -> None:
        self.text, self._planning = text, False
        self.get_logger().error(text)

    def _load(self) -> None:
        self.get_logger().info(f"loads {self.values['model']}")
        self.loaded = load_model(
            self.values["model"],
            arguments=json.loads(self.values["model_arguments"] or "{}"),
            weights=self.values["weights"] or None,
        )
        height, width = input_size_of(self.values, self.loaded)
        self.model = partition_model(
            self.loaded.module, height, width, mean=self.loaded.mean, std=self.loaded.std, digest=self.loaded.digest
        )
        for notice in self.model.graph.notices:
            self.get_logger().warning(notice)
        self.check = SelfCheck(self.loaded)
        self.solver = Solver(self.model.graph, self.cluster, self.values)
        self.state, self.text = ManagerStatus.STATE_WAITING, "waits for workers"

    def _plan(self, members: list[Member], reason: str) -> None:
        """Solve for the workers that are there, publish the plan under a new epoch."""
        try:
            outcome = self.solver.solve(members)
            schedule = derive_schedule(self.model.graph, outcome.plan)
            self.epoch += 1
            message = messages.plan_to_message(
                outcome.plan, self.session, self.epoch,
                model=self.values["model"], model_arguments=self.values["model_arguments"],
                planner=self.values["planner"], objective=self.values["objective"],
                deadline_s=outcome.deadline_s or 0.0, frame_timeout_s=self.values["frame_timeout_s"],
                predicted_latency_s=outcome.latency_s, predicted_energy_j=outcome.energy_j,
                explanation=outcome.explanation,
            )  # fmt: skip
            message.header.stamp = self.get_clock().now().to_msg()
            self.proposed = (self.epoch, schedule, message)
            self.commands.post(lambda: self._expect(schedule, message))
            self.plans.publish(message)
            self.replans += self.epoch > 1
            self.state = ManagerStatus.STATE_PREPARING
            self.text = f"plan {self.epoch} ({reason}): {outcome.plan}"
            self.get_logger().info(f"{self.text}. {outcome.explanation}")
        finally:
            self._planning = False

    # -- executor thread
    # ----------------------------------------------------------------------------------------------------

    def on_worker(self, message: WorkerStatus) -> None:
        """Take note of a worker."""
        if message.protocol_version != PROTOCOL_VERSION:
            self.get_logger().error(
                f"worker {message.name!r} speaks protocol {message.protocol_version}, this manager {PROTOCOL_VERSION}: "
                "install the same version of coedge_ros on both",
                throttle_duration_sec=10.0,
            )
            return
        with contextlib.suppress(UserError):
            topics.fragments_topic(message.name)
            member = Member(
                name=message.name,
                heard_s=time.monotonic(),
                ready=message.state in (WorkerStatus.STATE_READY, WorkerStatus.STATE_ACTIVE),
                digest=message.model_digest,
                size=(message.height, message.width),
                speed_macs_per_s=message.speed_macs_per_s,
                matched=frozenset(message.matched_peers),
                session=message.session,
                prepared=frozenset(message.prepared_epochs),
            )
            if self.membership.heard(member):
                self.get_logger().info(f"worker {message.name} on {message.host} is there")
                self.commands.post(lambda: self.channel.connect(message.name))

    def supervise(self) -> None:
        """Ten times per second: who is there, is a plan needed, is the proposed one prepared everywhere."""
        if self.model is None:
            return
        for name in self.membership.lose_silent(time.monotonic()):
            self.get_logger().warning(f"worker {name} has been silent for {self.values['lost_after_s']} s: it is gone")
        usable = self.membership.usable(self.model.graph.digest, tuple(self.model.graph.input.shape[2:]))
        reachable = set(self.channel.matched())
        usable = [m for m in usable if m.name in reachable]
        self.missing = self.membership.missing(usable)
        self._take_acknowledgements()
        if self._planning:
            return
        latest = self.proposed or self.in_force
        names = {m.name for m in usable}
        if latest is None:
            self._first_plan(usable)
        elif not names:
            self._alone()
        elif gone := [w for w in latest[2].workers if w not in self.membership.members]:
            self._start_planning(usable, f"without {', '.join(gone)}")
        elif restarted := self._restarted(latest, usable):
            self._start_planning(usable, f"{', '.join(restarted)} restarted")
        elif new := sorted(names - set(latest[2].workers)):
            self._start_planning(usable, f"with {', '.join(new)}")

    def _first_plan(self, usable: list[Member]) -> None:
        waited = time.monotonic() - self.started_s
        if not self.missing and usable:
            self._start_planning(usable, "first")
            return
        reasons = [f"{n} ({self.membership.refused.get(n, 'has not announced itself')})" for n in self.missing]
        self.text = f"waits for {', '.join(reasons)}"
        if tuple(reasons) != self._waited_for:
            self._waited_for = tuple(reasons)
            self.get_logger().info(self.text)
        if waited > self.values["wait_for_workers_s"] and usable:
            self.get_logger().warning(f"starts after {waited:.0f} s without {', '.join(reasons)}")
            self._start_planning(usable, "first, incomplete")
        elif waited > self.values["wait_for_workers_s"]:
            self.get_logger().error(
                f"no worker after {waited:.0f} s: {', '.join(reasons)}. Same ROS_DOMAIN_ID and model everywhere?",
                throttle_duration_sec=10.0,
            )

    def _restarted(self, latest, usable: list[Member]) -> list[str]:
        """Workers that once had the plan in force and have it no longer."""
        if latest is not self.in_force:
            return []
        return [m.name for m in usable if m.name in latest[2].workers and latest[0] not in m.prepared]

    def _start_planning(self, usable: list[Member], reason: str) -> None:
        self._planning = True
        self.loader.submit(self._plan, usable, reason)

    def _take_acknowledgements(self) -> None:
        if self.proposed is None:
            return
        epoch, _, message = self.proposed
        members = [self.membership.members.get(name) for name in message.workers]
        if all(m and m.session == self.session and epoch in m.prepared for m in members):
            proposed, self.proposed = self.proposed, None
            self.in_force = proposed
            self.state = ManagerStatus.STATE_ACTIVE
            self.commands.post(lambda: self._switch(proposed))

    def _alone(self) -> None:
        if self.state != ManagerStatus.STATE_ALONE:
            self.get_logger().error("no worker is left: the manager answers alone until one comes back")
            self.state, self.text = ManagerStatus.STATE_ALONE, "no worker is left: answers alone"
            self.proposed = self.in_force = None
            self.started_s = -math.inf  # whoever comes back is used at once
            self.commands.post(self._go_alone)

    def send_status(self) -> None:
        """Say what the cluster does and count frames."""
        book, inbox = self.book, self.coordinator.inbox
        message = ManagerStatus(state=self.state, message=self.text, session=self.session)
        message.header.stamp = self.get_clock().now().to_msg()
        message.epoch = self.in_force[0] if self.in_force else 0
        message.workers = sorted(self.membership.members)
        message.missing = list(self.missing)
        message.frames_received, message.frames_accepted = book.received, book.accepted
        message.frames_answered = book.answered
        message.dropped_reasons, message.dropped_counts = list(book.dropped), list(book.dropped.values())
        message.replans = self.replans
        message.rejected_reasons, message.rejected_counts = list(inbox.rejected), list(inbox.rejected.values())
        self.status.publish(message)

    # -- main thread
    # -----------------------------------------------------------------------------------------------------------

    def _expect(self, schedule: Schedule, message: PlanMessage) -> None:
        self.coordinator.inbox.prepare(self.session, message.epoch, schedule)
        self.coordinator.inbox.release(self.session, message.epoch - 2)

    def _switch(self, plan) -> None:
        """Use a prepared plan from the next frame on; issue the frames again whose workers are gone."""
        self._current, self._is_alone = plan, False
        if self.images is None:
            self._open_camera()
        alive = set(plan[2].workers)
        for frame in list(self.book.active.values()):
            key = frame.key
            pending = self.coordinator.pending.get(key)
            if pending is None or set(pending.schedule.plan.workers) - alive:
                self._issue(frame)

    def _go_alone(self) -> None:
        self._current, self._is_alone = None, True
        if self.images is None:
            self._open_camera()
        for frame in list(self.book.active.values()):
            self._answer_alone(frame)

    def _open_camera(self) -> None:
        """Images are read from now on: before there is a plan nothing could be done with them."""
        topic = self.resolve_topic_name(topics.IMAGE)
        self.images = self.data_node.create_subscription(
            Image, topic, ignore, qos.camera_input(self.values["image_reliable"]),
            event_callbacks=qos.subscription_events(self.data_node, topic),
        )  # fmt: skip
        self.channel.inlet.add(self.images)
        self.get_logger().info(f"reads {topic}")

    def serve(self) -> None:
        """Data loop: until the context is shut down."""
        torch.set_num_threads(1)
        self._current, self._is_alone, self._last_image_s = None, False, -math.inf
        while self.context.ok():
            self.commands.run()
            took = self._take_image()
            while self.coordinator.take(0.0):
                took = True
            for answer in self.coordinator.finished():
                self._publish(answer)
            self._accept()
            self._reissue_overdue()
            if not took:
                quiet_s = time.perf_counter() - self._last_image_s
                self.channel.inlet.wait(wait_for(bool(self.book.active), quiet_s))

    def _take_image(self) -> bool:
        message = self.channel.inlet.take(self.images) if self.images else None
        if message is None:
            return False
        now_s = self._last_image_s = time.perf_counter()
        self.book.received += 1
        try:
            height, width = self.model.graph.input.shape[2:]
            self.book.arrive(message.header, resize_to(decode_image(message), height, width), now_s)
        except UserError as error:
            self.book.dropped["unreadable image"] += 1
            self.get_logger().error(f"image dropped: {error}", throttle_duration_sec=2.0)
        return True

    def _accept(self) -> None:
        while (self._current or self._is_alone) and (frame := self.book.accept()):
            if self._is_alone:
                self._answer_alone(frame)
            else:
                self._issue(frame)

    def _issue(self, frame: Frame) -> None:
        """Give a frame to the workers; again under a newer plan, or under the same one with a new number."""
        if frame.key is not None:
            self.coordinator.forget(frame.key)
        epoch, schedule, _ = self._current
        frame.attempts += 1
        # A second try under the same plan must not meet fragments of the first: attempts have numbers of their own.
        frame.key = FrameKey(self.session, epoch, frame.number * MAX_ATTEMPTS + min(frame.attempts, MAX_ATTEMPTS) - 1)
        self.coordinator.start(frame.key, schedule, frame.pixels)

    def _reissue_overdue(self) -> None:
        for key in self.coordinator.overdue(self.values["frame_timeout_s"]):
            frame = next((f for f in self.book.active.values() if f.key == key), None)
            if frame is None or frame.attempts >= MAX_ATTEMPTS:
                continue
            waiting_for = ", ".join(self.coordinator.missing_workers(key))
            self.get_logger().warning(f"frame {frame.number} is overdue, nothing came from {waiting_for}: issued again")
            self._issue(frame)

    def _answer_alone(self, frame: Frame) -> None:
        if frame.key is not None:
            self.coordinator.forget(frame.key)
        frame.attempts += 1
        outputs = run_alone(self.model, frame.pixels)
        self._publish_result(frame, outputs, None)

    def _publish(self, answer) -> None:
        frame = next((f for f in self.book.active.values() if f.key == answer.key), None)
        if frame is not None:
            self._publish_result(frame, answer.outputs, answer)

    def _publish_result(self, frame: Frame, outputs, answer) -> None:
        result = InferenceResult(
            header=frame.header, model=self.values["model"], session=self.session, frame=frame.number
        )
        result.classes = [
            ClassScore(id=i, label=label, probability=p)
            for i, label, p in best_classes(outputs, self.loaded.labels, self.values["classes"])
        ]
        if self.values["publish_tensors"]:
            result.tensors = [messages.tensor_to_message(name, t) for name, t in outputs.items()]
        result.attempts = frame.attempts
        result.predicted_ms = result.max_abs_diff = result.scale = math.nan
        if answer is None:
            result.fallback, result.head, result.usage_complete = True, MANAGER_NAME, True
        else:
            self._add_provenance(result, answer)
        every = self.values["self_check_every"]
        result.latency_ms = (time.perf_counter() - frame.received_s) * 1e3
        if every and frame.number % every == 0:
            result.max_abs_diff, result.scale = self.check.compare(frame.pixels, outputs)
        self.book.answer(frame.number)
        self.results.publish(result)

    def _add_provenance(self, result: InferenceResult, answer) -> None:
        _, _, plan = self._current if self._current and self._current[0] == answer.key.epoch else (0, None, None)
        result.epoch = answer.key.epoch
        result.workers = [messages.usage_to_message(u, self._energy_j(u)) for u in answer.usage]
        result.usage_complete = answer.usage_complete
        result.energy_j = float(sum(w.energy_j for w in result.workers))
        result.bytes_moved = answer.scatter_bytes + sum(u.bytes_out for u in answer.usage)
        if plan is not None:
            result.head = plan.head
            result.predicted_ms = plan.predicted_latency_s * 1e3
            result.deadline_ms = plan.deadline_s * 1e3

    def _energy_j(self, usage) -> float:
        """Modelled: what computing and sending draw, times how long the worker says they took."""
        power = self.solver.power_of(usage.worker)
        return usage.compute_s * power.compute_w + usage.transmit_s * power.transmit_w

    def close(self) -> None:
        """Tell the workers that the session ends; let go of the data side."""
        self.plans.publish(
            PlanMessage(action=PlanMessage.RELEASE, protocol_version=PROTOCOL_VERSION, session=self.session)
        )
        self.channel.inlet.close()
        self.data_node.destroy_node()


MAX_ATTEMPTS = 16  # frame numbers on the wire are number * MAX_ATTEMPTS + attempt


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `partition_manager`."""
    rclpy.init(args=args)
    node, thread = None, None
    executor = MultiThreadedExecutor(2)
    try:
        node = PartitionManager()
        executor.add_node(node)
        thread = threading.Thread(target=_spin, args=(executor,), name="control", daemon=True)
        thread.start()
        node.serve()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a launch file sends a second one while the first is handled
        executor.shutdown(timeout_sec=1.0)
        if node:
            with contextlib.suppress(Exception):  # the context may be gone already after a signal
                node.close()
            node.destroy_node()
        rclpy.try_shutdown()
        if thread:
            thread.join(2.0)
    return 0


def _spin(executor) -> None:
    with contextlib.suppress(ExternalShutdownException, KeyboardInterrupt):
        executor.spin()
