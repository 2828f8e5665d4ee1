"""Worker node: computes row bands of frames.

Three threads. The main thread takes fragments and computes, over a node of its own that is in no executor. The executor
thread has this node: parameters, plan, status. A loader thread builds models and programs, so that neither frames nor
status wait for it.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections import deque
from pathlib import Path
from typing import Any

import torch
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from coedge_ros.errors import UserError
from coedge_ros.execution.allocator import give_back_freed_memory, keep_freed_memory, limit_kept_kernels
from coedge_ros.execution.band_worker import BandWorker
from coedge_ros.execution.device import device_of
from coedge_ros.execution.fragment import PROTOCOL_VERSION
from coedge_ros.execution.program import WorkerProgram
from coedge_ros.execution.warm_up import warm_up
from coedge_ros.graph.lower import PartitionedModel
from coedge_ros.msg import PartitionPlan as PlanMessage
from coedge_ros.msg import WorkerStatus
from coedge_ros.nodes import messages, qos, topics
from coedge_ros.nodes.commands import Commands
from coedge_ros.nodes.data_parameters import make_channel
from coedge_ros.nodes.dds_channel import make_data_node
from coedge_ros.nodes.flight_record import FlightRecord
from coedge_ros.nodes.link_monitor import LinkMonitor
from coedge_ros.nodes.loader import MOST, Loader
from coedge_ros.nodes.managed import ManagedNode
from coedge_ros.nodes.model_parameters import load_and_partition
from coedge_ros.nodes.model_switch import offer_switch
from coedge_ros.nodes.parameters import declare_parameters
from coedge_ros.nodes.run import run_with_data_loop
from coedge_ros.nodes.saying import Sayer
from coedge_ros.nodes.wait_set import wait_for
from coedge_ros.nodes.worker_parameters import PARAMETERS
from coedge_ros.nodes.worker_status import WorkerReport
from coedge_ros.profiling.own_speed import QUIET_S, OwnSpeed
from coedge_ros.profiling.speed import kept_speed
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.schedule import MANAGER_NAME

MAX_FRAMES = 48  # under way at once: what a manager may have in flight (16), and as many of earlier attempts twice


class Worker(ManagedNode):
    """Control side of a worker; the data side is `channel` and `bands`, used by the main thread only.

    Raises
    ------
    UserError
        When a parameter does not fit.
    """

    def __init__(self, **node_options):
        super().__init__("worker", **node_options)
        self.values = declare_parameters(self, PARAMETERS)
        device_of(self.values["device"])  # says at once when there is none
        self.worker_name = self.values["worker_name"] or self.get_name()
        topics.check_worker_name(self.worker_name)
        self._trouble = Sayer(self.get_logger())
        self.instance = random.getrandbits(63) | 1
        self.data_node = make_data_node(self, self.worker_name)
        self.channel = make_channel(self.data_node, self.worker_name, self.values, self.resolve_topic_name)
        self.host_name = self.values["host_name"] or socket.gethostname()
        self.channel.connect(MANAGER_NAME, self.values["manager_host"] not in ("", self.host_name))
        folder = self.values["flight_record"]
        self.flight = FlightRecord(Path(folder) / self.worker_name) if folder else None
        self.bands = BandWorker(
            self.worker_name,
            self.channel,
            max_frames=MAX_FRAMES,
            on_error=self._trouble.error,
            on_event=self.flight.stage if self.flight else None,
        )
        self.commands = Commands(self.channel.inlet.wake, self.get_logger())
        self.model: PartitionedModel | None = None
        self.speed_macs_per_s = 0.0
        self.own_speed = OwnSpeed()
        self.links = LinkMonitor(self, self.worker_name)
        if self.values["manager_host"] not in ("", self.host_name):
            self.links.probe(MANAGER_NAME)
        self.report = WorkerReport(self)
        self.create_subscription(
            PlanMessage, topics.PARTITION_PLAN, self.on_plan, qos.PLAN,
            callback_group=MutuallyExclusiveCallbackGroup(),
            event_callbacks=qos.subscription_events(self, topics.PARTITION_PLAN),
        )  # fmt: skip
        self.create_subscription(
            WorkerStatus, topics.WORKER_STATUS, self.on_peer, qos.STATUS,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )  # fmt: skip
        self._plans: deque[PlanMessage] = deque(maxlen=MOST)  # to be prepared; a flood pushes the oldest out
        self.loader = Loader(self._fail)
        offer_switch(self, self.values, lambda model: self.loader.submit(self._change_model, model))
        self.autostart()

    # -- loader thread ------------------------------------------------------------------------------------------------

    def _fail(self, text: str) -> None:
        self.get_logger().error(text)
        if self.model is None:  # without a model it is no use; a plan that does not fit says nothing about the worker
            self.report.say(WorkerStatus.STATE_ERROR, text)

    @property
    def is_loaded(self) -> bool:
        """See `ManagedNode`."""
        return self.model is not None

    def load(self) -> None:
        """See `ManagedNode`; frames under way are computed meanwhile, with the model that they are for."""
        torch.set_num_threads(self.values["threads"])  # counts per thread that computes
        text = f"loads {self.values['model']}"
        # a change of the model: with the one before it goes on
        state = WorkerStatus.STATE_LOADING if self.model is None else WorkerStatus.STATE_READY
        self.report.say(state, text)
        self.get_logger().info(text)
        loaded, model = load_and_partition(self.values)
        spec, digest = loaded.spec, loaded.digest
        del loaded  # its weights are no longer needed: the partitioned model has its own
        keep_freed_memory()
        limit_kept_kernels(len(model.graph.operators))
        self.report.say(state, "measures its speed")
        self.speed_macs_per_s, is_kept = kept_speed(
            model, self.values["threads"], self.values["profile_budget_s"], self.values["profile_cache"],
            lambda done, of: self.report.say(state, f"measures its speed ({done} of {of})"),
        )  # fmt: skip
        if self.model is None:
            self.own_speed.start()
        self.model = model
        height, width = model.graph.input.shape[2:]
        text = (
            f"ready: {spec} at {height}x{width}, digest {digest[:12]}, "
            f"{self.speed_macs_per_s / 1e9:.2f} GMAC/s{' as measured before' if is_kept else ''}"
        )
        self.report.say(WorkerStatus.STATE_READY, text)
        self.report.send_soon()
        self.get_logger().info(text)

    def _change_model(self, model: dict[str, Any]) -> None:
        """Load another model; when that fails the one before stays."""
        before = {name: self.values[name] for name in model}
        if self.model is not None and model == before:
            return
        self.values.store(self, model)
        try:
            self.load()
        except Exception:
            self.values.store(self, before)
            if self.model is not None:
                self.report.say(WorkerStatus.STATE_READY, f"could not load {model['model']}, see the log")
            raise

    def unload(self) -> None:
        """See `ManagedNode`."""
        self.model = None
        self._plans.clear()
        self.commands.post(self._release_all)
        give_back_freed_memory()

    def _prepare_waiting(self) -> None:
        while self._plans:
            message = self._plans.popleft()
            is_newest = all(message.session != later.session for later in list(self._plans))
            if is_newest and self.worker_name in message.workers:  # the manager waits for no other
                self._prepare(message)

    def _prepare(self, message: PlanMessage) -> None:
        if self.model is None or (message.session, message.epoch) in self.bands.programs:
            return  # it has said why when loading failed; a plan that it can run stays as it is
        if message.model_digest != self.model.graph.digest:
            self._trouble.error(
                f"plan {message.epoch} is for {message.model} with digest {message.model_digest[:12]}, this worker "
                f"has {self.values['model']} with {self.model.graph.digest[:12]}: start both with the same model and "
                "weights"
            )
            return
        try:
            plan = messages.plan_from_message(message)
            schedule = derive_schedule(self.model.graph, plan)
        except ValueError as error:
            self._trouble.error(f"plan {message.epoch} is refused: {error}")
            return
        program = WorkerProgram(self.model, schedule, plan.workers.index(self.worker_name))
        warm_up(program)
        self.commands.post(lambda: self._install(message, program))
        rows = schedule.owned_rows(program.worker, 0)
        self.get_logger().info(f"plan {message.epoch}: rows {rows} of the first of {plan.stages} stages")

    # -- executor thread ----------------------------------------------------------------------------------------------

    def start_work(self) -> None:
        """See `ManagedNode`: the manager finds it ready, and plans with it."""
        self.links.is_on = True

    def stop_work(self) -> None:
        """See `ManagedNode`: the manager plans without it; until then it computes its rows."""
        self.links.is_on = False
        self.speak()

    def speak(self) -> None:
        """See `ManagedNode`."""
        self.report.send()

    def on_plan(self, message: PlanMessage) -> None:
        """Prepare a plan that names this worker, if it is the newest of its session; forget a session that ends."""
        if message.protocol_version != PROTOCOL_VERSION:
            self._trouble.error(
                f"a manager speaks protocol {message.protocol_version}, this worker {PROTOCOL_VERSION}: "
                "install the same version of coedge_ros on both"
            )
        elif message.action == PlanMessage.RELEASE:
            self.loader.submit(self.commands.post, lambda: self._release(message.session))  # after plans before it
        elif message.action == PlanMessage.PREPARE:
            if len(self._plans) == MOST:
                dropped = self._plans[0].epoch
                self._trouble.error(f"plan {dropped} is dropped: plans come faster than they can be prepared")
            self._plans.append(message)
            self.loader.submit(self._prepare_waiting)  # refused when that waits already

    def on_peer(self, message: WorkerStatus) -> None:
        """Make the publisher to a peer as soon as it is heard of, long before the first plan that needs it."""
        if message.name != self.worker_name and message.protocol_version == PROTOCOL_VERSION:
            with contextlib.suppress(UserError):
                topics.check_worker_name(message.name)
                is_remote = message.host != self.host_name
                self.commands.post(lambda: self.channel.connect(message.name, is_remote))
                if is_remote:
                    self.links.probe(message.name)

    # -- main thread --------------------------------------------------------------------------------------------------

    def _install(self, message: PlanMessage, program: WorkerProgram) -> None:
        for peer in message.workers:
            self.channel.connect(peer)
        known = {session for session, _ in self.bands.programs}
        self.bands.install(message.session, message.epoch, program, message.frame_timeout_s)
        self.report.send_soon()
        self.loader.submit(give_back_freed_memory)  # what the plan before the last one needed
        if known - {message.session}:
            self.get_logger().info(f"{len(known | {message.session})} managers' plans are kept until they are released")

    def _release(self, session: int) -> None:
        self.bands.release_session(session)
        self.get_logger().info("the manager has ended its session")

    def _release_all(self) -> None:
        for session in {session for session, _ in self.bands.programs}:
            self.bands.release_session(session)
        self.loader.submit(give_back_freed_memory)

    def serve(self, stop: threading.Event) -> None:
        """Data loop on the main thread."""
        torch.set_num_threads(self.values["threads"])
        while not stop.is_set():
            self.commands.run()
            quiet_s = self.bands.clock() - self.bands.totals.last_finished_s
            if self.flight and not self.bands.runs:
                self.flight.idle()
            self._look_at_own_speed(quiet_s)
            try:
                self.bands.poll(wait_for(bool(self.bands.runs), quiet_s))
            except Exception as error:  # whatever came in, the next frame is computed
                self._trouble.error(f"{type(error).__name__} in the data loop: {error}")

    def _look_at_own_speed(self, quiet_s: float) -> None:
        telling_s = self.bands.clock() - self.bands.totals.last_telling_s
        if self.bands.runs and telling_s >= QUIET_S:
            return  # the frame itself may tell; if not, it must not wait
        self.own_speed.look(telling_s, is_serving=quiet_s < QUIET_S)

    def close(self) -> None:
        """Let go of the data side."""
        self.channel.close()


def main(args: list[str] | None = None) -> int:
    """Run a worker and return its exit code: 0 when stopped, 2 for the user's mistake."""
    return run_with_data_loop(Worker, args, is_renewable=True)
