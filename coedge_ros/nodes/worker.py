"""Worker node: computes row bands of frames.

Two ROS nodes in one process: `<name>_data` carries fragments and is in no executor, the main thread takes from it and
computes; `<name>` has parameters, plan and status, and its own executor thread. A loader thread builds models and
programs, so that neither frames nor status wait for it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
import threading
import time

import rclpy
import torch
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node

from coedge_ros.errors import UserError
from coedge_ros.execution.band_worker import BandWorker
from coedge_ros.execution.fragment import MANAGER_NAME, PROTOCOL_VERSION
from coedge_ros.execution.program import WorkerProgram
from coedge_ros.execution.warm_up import warm_up
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.lower import PartitionedModel, partition_model
from coedge_ros.msg import PartitionPlan as PlanMessage
from coedge_ros.msg import WorkerStatus
from coedge_ros.nodes import messages, qos, topics
from coedge_ros.nodes.commands import Commands
from coedge_ros.nodes.dds_channel import DdsChannel, make_data_node
from coedge_ros.nodes.loader import Loader
from coedge_ros.nodes.model_parameters import MODEL_PARAMETERS, input_size_of
from coedge_ros.nodes.parameters import Parameter, declare_parameters
from coedge_ros.nodes.wait_set import wait_for
from coedge_ros.profiling.speed import measure_speed
from coedge_ros.spec.schedule import derive_schedule

ACTIVE_S = 2.0  # a worker that answered within this time counts as active

PARAMETERS = (
    *MODEL_PARAMETERS,
    Parameter("worker_name", "", "Name in the cluster; empty for the node's name.", read_only=True),
    Parameter("threads", 1, "Threads that torch computes with.", "threads", 1, 256, read_only=True),
    Parameter("device", "cpu", "Device that it computes on; this version: cpu only.", read_only=True),
    Parameter("status_rate_hz", 5.0, "Status messages per second.", "Hz", 0.5, 50.0, read_only=True),
    Parameter("idle_w", 1.3, "Modelled power when it does nothing.", "W", 0.0, 10000.0, read_only=True),
    Parameter("compute_w", 6.5, "Modelled power while it computes.", "W", 0.0, 10000.0, read_only=True),
    Parameter("transmit_w", 3.0, "Modelled power while it sends.", "W", 0.0, 10000.0, read_only=True),
    Parameter("fragment_depth", 256, "Fragments that may be in flight to it.", "messages", 8, 8192, read_only=True),
    Parameter("chunk_bytes", 262144, "Largest payload of one message.", "bytes", 1024, 16777216, read_only=True),
)


class Worker(Node):
    """Control side of a worker; the data side is `channel` and `bands`, used by the main thread only."""

    def __init__(self):
        super().__init__("worker")
        self.values = declare_parameters(self, PARAMETERS)
        self.worker_name = self.values["worker_name"] or self.get_name()
        if self.values["device"] != "cpu":
            raise UserError(f"device {self.values['device']!r}: this version computes on cpu only; set device to cpu")
        topics.fragments_topic(self.worker_name)  # refuses names that cannot be part of a topic
        self.data_node = make_data_node(self)
        depth, chunk = self.values["fragment_depth"], self.values["chunk_bytes"]
        self.channel = DdsChannel(self.data_node, self.worker_name, depth, chunk, self.resolve_topic_name)
        self.channel.connect(MANAGER_NAME)
        self.bands = BandWorker(self.worker_name, self.channel)
        self.commands = Commands(self.channel.inlet.wake)
        self.loader = Loader(self._fail)
        self.model: PartitionedModel | None = None
        self.speed_macs_per_s = 0.0
        self.state, self.text = WorkerStatus.STATE_LOADING, "starts"
        self.plan_rows: dict[tuple[int, int], int] = {}
        self._period = (time.monotonic(), 0.0)
        self._energy_j = 0.0
        self.status = self.create_publisher(
            WorkerStatus,
            topics.WORKER_STATUS,
            qos.STATUS,
            event_callbacks=qos.publisher_events(self, topics.WORKER_STATUS),
        )
        self.create_subscription(
            PlanMessage, topics.PARTITION_PLAN, self.on_plan, qos.PLAN,
            callback_group=MutuallyExclusiveCallbackGroup(),
            event_callbacks=qos.subscription_events(self, topics.PARTITION_PLAN),
        )  # fmt: skip
        self.create_subscription(
            WorkerStatus,
            topics.WORKER_STATUS,
            self.on_peer,
            qos.STATUS,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )
        self.create_timer(
            1 / self.values["status_rate_hz"], self.send_status, callback_group=MutuallyExclusiveCallbackGroup()
        )
        self.loader.submit(self._load)

    # -- loader thread
    # ---------------------------------------------------------------------------------------------------

    def _fail(self, text: str) -> None:
        self.state, self.text = WorkerStatus.STATE_ERROR, text
        self.get_logger().error(text)

    def _load(self) -> None:
        torch.set_num_threads(self.values["threads"])  # counts per thread that computes
        self.text = f"loads {self.values['model']}"
        self.get_logger().info(self.text)
        loaded = load_model(
            self.values["model"],
            arguments=json.loads(self.values["model_arguments"] or "{}"),
            weights=self.values["weights"] or None,
        )
        height, width = input_size_of(self.values, loaded)
        model = partition_model(loaded.module, height, width, mean=loaded.mean, std=loaded.std, digest=loaded.digest)
        self.text = "measures its speed"
        self.speed_macs_per_s = measure_speed(model)
        self.model = model
        self.state = WorkerStatus.STATE_READY
        self.text = f"ready: {loaded}, {self.speed_macs_per_s / 1e9:.2f} GMAC/s"
        self.get_logger().info(self.text)

    def _prepare(self, message: PlanMessage) -> None:
        if self.model is None:
            raise UserError(f"a plan came, but no model is loaded: {self.text}")
        if message.model_digest != self.model.graph.digest:
            self.get_logger().error(
                f"plan {message.epoch} is for {message.model} with digest {message.model_digest[:12]}, this worker has "
                f"{self.values['model']} with {self.model.graph.digest[:12]}: start both with the same model"
            )
            return
        plan = messages.plan_from_message(message)
        schedule = derive_schedule(self.model.graph, plan)
        index = plan.workers.index(self.worker_name)
        program = WorkerProgram(self.model, schedule, index)
        warm_up(program)
        rows = schedule.owned_rows(index, 0)
        self.plan_rows[(message.session, message.epoch)] = len(rows)
        self.commands.post(lambda: self._install(message, program))
        self.get_logger().info(f"plan {message.epoch}: rows {rows} of the first of {plan.stages} stages")

    # -- executor thread
    # ----------------------------------------------------------------------------------------------------

    def on_plan(self, message: PlanMessage) -> None:
        """Prepare a plan that names this worker; forget a session that ends."""
        if message.protocol_version != PROTOCOL_VERSION:
            self.get_logger().error(
                f"the manager speaks protocol {message.protocol_version}, this worker {PROTOCOL_VERSION}: "
                "install the same version of coedge_ros on both"
            )
        elif message.action == PlanMessage.RELEASE:
            self.commands.post(lambda: self.bands.release_session(message.session))
        elif self.worker_name in message.workers:
            for peer in message.workers:
                self.commands.post(lambda peer=peer: self.channel.connect(peer))
            self.loader.submit(self._prepare, message)

    def on_peer(self, message: WorkerStatus) -> None:
        """Make the publisher to a peer as soon as it is heard of, long before the first plan that needs it."""
        if message.name != self.worker_name and message.protocol_version == PROTOCOL_VERSION:
            with contextlib.suppress(UserError):
                topics.fragments_topic(message.name)
                self.commands.post(lambda: self.channel.connect(message.name))

    def send_status(self) -> None:
        """Say what this worker is and does."""
        totals, inbox, values = self.bands.totals, self.bands.inbox, self.values
        message = WorkerStatus()
        message.header.stamp = self.get_clock().now().to_msg()
        message.protocol_version = PROTOCOL_VERSION
        message.name, message.host, message.device = self.worker_name, socket.gethostname(), values["device"]
        active = time.perf_counter() - totals.last_finished_s < ACTIVE_S
        ready = self.state == WorkerStatus.STATE_READY
        message.state = WorkerStatus.STATE_ACTIVE if ready and active else self.state
        message.message, message.model = self.text, values["model"]
        message.threads = values["threads"]
        if self.model:
            message.model_digest = self.model.graph.digest
            message.height, message.width = self.model.graph.input.shape[2:]
        message.speed_macs_per_s = self.speed_macs_per_s
        prepared = sorted(self.bands.programs)
        if prepared:
            session = prepared[-1][0]
            message.session = session
            message.prepared_epochs = [e for s, e in prepared if s == session]
            message.rows = self.plan_rows.get(prepared[-1], 0)
        message.matched_peers = self.channel.matched()
        self._add_load(message, totals)
        message.frames, message.frames_abandoned = totals.frames, totals.abandoned
        message.bytes_in, message.bytes_out = inbox.bytes_in, totals.bytes_out
        message.rejected_reasons, message.rejected_counts = list(inbox.rejected), list(inbox.rejected.values())
        self.status.publish(message)

    def _add_load(self, message: WorkerStatus, totals) -> None:
        now = time.monotonic()
        began, busy_before = self._period
        seconds, busy_s = max(now - began, 1e-6), totals.busy_s - busy_before
        self._period = (now, totals.busy_s)
        message.load = min(1.0, busy_s / seconds)
        message.power_w = self.values["idle_w"] + message.load * (self.values["compute_w"] - self.values["idle_w"])
        self._energy_j += message.power_w * seconds
        message.energy_j = self._energy_j
        if totals.last:
            message.compute_ms = totals.last.compute_s * 1e3
            message.wait_ms = totals.last.wait_s * 1e3
            message.transmit_ms = totals.last.transmit_s * 1e3

    # -- main thread
    # -----------------------------------------------------------------------------------------------------------

    def _install(self, message: PlanMessage, program: WorkerProgram) -> None:
        self.bands.install(message.session, message.epoch, program, message.frame_timeout_s)
        for session in {s for s, _ in self.bands.programs if s != message.session}:
            self.get_logger().info(
                f"session {session} is another manager's or an earlier one's; it is kept until released"
            )

    def compute(self) -> None:
        """Data loop: until the context is shut down."""
        torch.set_num_threads(self.values["threads"])
        while self.context.ok():
            self.commands.run()
            quiet_s = self.bands.clock() - self.bands.totals.last_finished_s
            self.bands.poll(wait_for(bool(self.bands.runs), quiet_s))

    def close(self) -> None:
        """Let go of the data side."""
        self.channel.inlet.close()
        self.data_node.destroy_node()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `worker`."""
    rclpy.init(args=args)
    node, thread = None, None
    executor = MultiThreadedExecutor(2)
    try:
        node = Worker()
        executor.add_node(node)
        thread = threading.Thread(target=_spin, args=(executor,), name="control", daemon=True)
        thread.start()
        node.compute()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a launch file sends a second one while the first is handled
        executor.shutdown(timeout_sec=1.0)
        rclpy.try_shutdown()
        if thread:
            thread.join(2.0)
        if node:
            node.close()
            node.destroy_node()
    return 0


def _spin(executor) -> None:
    with contextlib.suppress(ExternalShutdownException, KeyboardInterrupt):
        executor.spin()
