"""The manager's data side: images in, row bands out to the workers, results out. Main thread only.

The control side says with `expect`, `switch` and `go_alone`, posted as commands, which plan frames are served with.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from rclpy.node import Node

from coedge_ros.errors import UserError
from coedge_ros.execution.band_worker import ABANDON, PATIENCE
from coedge_ros.execution.coordinator import Answer, FrameCoordinator
from coedge_ros.execution.fragment import FrameKey
from coedge_ros.graph.lower import PartitionedModel
from coedge_ros.msg import InferenceResult
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.answers import SelfCheck, run_alone
from coedge_ros.nodes.commands import Commands
from coedge_ros.nodes.data_parameters import make_channel
from coedge_ros.nodes.dds_channel import make_data_node
from coedge_ros.nodes.frames import Frame, FrameBook
from coedge_ros.nodes.image_codec import resize_to
from coedge_ros.nodes.image_input import Cameras, decode
from coedge_ros.nodes.outlet import Outlet
from coedge_ros.nodes.qos_overrides import PUBLISHER, SUBSCRIPTION, overridden
from coedge_ros.nodes.results import ResultMaker
from coedge_ros.nodes.saying import Sayer
from coedge_ros.nodes.stack_answers import StackAnswers
from coedge_ros.nodes.supervisor import IssuedPlan, SwitchTo
from coedge_ros.nodes.task_heads import TaskHeads
from coedge_ros.nodes.wait_set import wait_for
from coedge_ros.spec.schedule import MANAGER_NAME

SERVED = 64  # answers whose usage nobody has looked at yet
STOPPED = "the model is changed or unloaded"  # and the workers were not done in time
SLOW = 4  # times its usual latency, and a frame is issued again
LOOK_S = 0.03  # between two looks whether suspects have been silent for too long
LATE = 2  # times its usual latency makes a frame's workers suspect: who is silent as well is gone
HARDLY_LATE = 1.5  # times as long must be silent of whom a frame waits that is later than usual, but not `LATE`


class FrameServer:
    """Serves frames.

    Parameters
    ----------
    control : Node
        The manager's control node: gives namespace, remappings and the logger.
    values : dict
        Parameters of the manager, followed as they change.
    session : int
        Of the manager.
    """

    def __init__(self, control: Node, values: dict[str, Any], session: int):
        self.values, self.session = values, session
        self.log = control.get_logger()
        self._trouble = Sayer(self.log)
        self.node = make_data_node(control, MANAGER_NAME)
        resolve = control.resolve_topic_name
        self.channel = make_channel(self.node, MANAGER_NAME, values, resolve)
        self.coordinator = FrameCoordinator(self.channel)
        self.book = FrameBook(values["frames_in_flight"], values["queue_frames"])
        self.commands = Commands(self.channel.inlet.wake, self.log)
        self.cameras = Cameras(values, resolve, self.log.warning, partial(overridden, control, SUBSCRIPTION))
        profile = overridden(control, PUBLISHER, topics.RESULT, qos.RESULT)
        self._results = self.node.create_publisher(InferenceResult, resolve(topics.RESULT), profile)
        self._stack = StackAnswers(self.node, resolve, self.log.info)
        self._model: PartitionedModel | None = None
        self.outlet = Outlet(control, values, self._send_out, self.commands.post, self._answer_all_alone)
        self._plan: IssuedPlan | None = None
        self._is_alone = False
        self._lets_in = False
        self._next: tuple[PartitionedModel, ResultMaker] | None = None  # when frames under way are done
        self._change_by_s = 0.0
        self._issued = 0  # attempts so far, of all frames
        self._last_image_s = -math.inf
        self._typical_s = 0.0  # latency of recent frames
        self.served: deque[tuple[IssuedPlan, Answer]] = deque(
            maxlen=SERVED
        )  # for the control side, which takes them out
        # Workers that a late frame waits for, and how many times the least silence makes them gone; read by any thread.
        self.waited_for: dict[str, float] = {}
        self.look_at_suspects: Callable[[], None] = lambda: None  # called every now and then while there are some
        self._looked_s = -math.inf

    # -- commands of the control side ---------------------------------------------------------------------------------

    def load(self, model: PartitionedModel, results: ResultMaker) -> None:
        """From now on frames can be resized and answered."""
        self._model = model
        self.outlet.load(results, SelfCheck(results.loaded, model))

    def change_model(self, model: PartitionedModel, results: ResultMaker) -> None:
        """Answer with another model once the frames under way are finished; then a plan for it may be used."""
        self._next = model, results
        self._change_by_s = time.perf_counter() + self.values["frame_timeout_s"]

    def _change(self) -> None:
        if self._next is None:
            return
        self._answer_all_alone()  # what has taken too long, with the model that it was accepted for
        self.book.drop_waiting("the model was changed")  # resized for the other one
        self._plan, self._is_alone = None, False
        model_and_results, self._next = self._next, None
        self.load(*model_and_results)

    def unload(self) -> None:
        """Let go of model and plan; what is under way is answered before."""
        self._answer_all_alone()
        self._plan, self._is_alone, self._model, self._next = None, False, None, None
        self.outlet.unload()

    def let_in(self, is_open: bool) -> None:
        """Whether images are taken; frames under way are finished in any case."""
        self._lets_in = is_open
        if is_open and (self._plan or self._is_alone):
            self._open_camera()
        elif not is_open and self.cameras.is_open:
            self.cameras.close(self.channel.inlet)
            self.book.drop_waiting("no images are taken")

    def expect(self, plan: IssuedPlan) -> None:
        """A plan is about to be published: know its fragments."""
        self.coordinator.inbox.prepare(self.session, plan.epoch, plan.schedule)

    def switch(self, order: SwitchTo) -> None:
        """Use a prepared plan from the next frame on; issue the frames again that the workers cannot finish any more.

        Those are the frames with a worker that is gone or was restarted, and frames of plans before the previous one,
        which the workers have forgotten.
        """
        self._change()
        plan = order.plan
        self._plan, self._is_alone = plan, False
        self.outlet.trust.use(plan.epoch)
        self._open_camera()
        for frame in list(self.book.active.values()):
            old = frame.plan
            kept = old is not None and old.epoch >= plan.epoch - 1
            if not kept or not order.finishes(old):
                self._issue(frame)
        self.coordinator.inbox.release_before(self.session, plan.epoch - 1)

    def go_alone(self) -> None:
        """Nobody is left: answer what is under way and what comes."""
        self._change()
        self._plan, self._is_alone = None, True
        self._open_camera()
        self._answer_all_alone()

    def _open_camera(self) -> None:
        """Images are read from now on: before there is a plan nothing could be done with them."""
        if self._lets_in and not self.cameras.is_open:
            self.cameras.open(self.channel.inlet)
            self.log.info(f"reads {', '.join(self.cameras.topics)}")

    def silences(self) -> dict[str, float]:
        """Seconds since the last fragment of each worker. Called by any thread."""
        now_s = self.coordinator.clock()
        return {name: now_s - heard_s for name, heard_s in dict(self.coordinator.heard_s).items()}

    # -- data loop ----------------------------------------------------------------------------------------------------

    def serve(self, stop: threading.Event) -> None:
        """Data loop, until `stop` is set; whatever goes wrong with one frame, the next is served."""
        torch.set_num_threads(1)
        while not stop.is_set():
            self.commands.run()
            try:
                is_busy = self._serve_once()
            except Exception as error:
                is_busy = True
                self._trouble.error(f"{type(error).__name__} in the data loop: {error}")
            if not is_busy:
                self.coordinator.serve_requests()
                self.coordinator.ask_for_missing()
                quiet_s = time.perf_counter() - self._last_image_s
                self.channel.inlet.wait(wait_for(bool(self.book.active), quiet_s))

    def _serve_once(self) -> bool:
        is_busy = self._take_image()
        while self.coordinator.take(0.0):
            is_busy = True
        for answer in self.coordinator.finished():
            self._typical_s += (answer.latency_s - self._typical_s) / 8
            if frame := self.book.of_key(answer.key):
                self.served.append((frame.plan, answer))
                self._publish(frame, answer.outputs, answer)
        if self._next and (not self.book.active or time.perf_counter() > self._change_by_s):
            self._change()
        is_busy |= self._accept()
        self._reissue_overdue()
        self._look_for_suspects()
        return is_busy

    def _take_image(self) -> bool:
        taken = self.cameras.take(self.channel.inlet)
        if taken is None:
            return False
        camera, message = taken
        now_s = self._last_image_s = time.perf_counter()
        self.book.received += 1
        try:
            height, width = self._model.graph.input.shape[2:]
            rgb = decode(message)
            picture = rgb if self._stack.wants_pictures else None
            self.book.arrive(message.header, resize_to(rgb, height, width), now_s, camera, rgb.shape[:2], picture)
        except UserError as error:
            self.book.drop("unreadable image", camera)
            self._trouble.error(f"image{' of ' * bool(camera)}{camera} dropped: {error}")
        return True

    def _accept(self) -> bool:
        """Begin with frames that wait; one at a time where the manager answers alone, for images wait to be taken."""
        trust = self.outlet.trust
        while (
            not self._next and (self._plan or self._is_alone) and self.outlet.has_room and (frame := self.book.accept())
        ):
            if self._is_alone or not trust.lets_work(frame.number):
                self._answer_alone(frame)
                return True
            self._issue(frame)
        return False

    def _issue(self, frame: Frame) -> None:
        """Give a frame to the workers, for the first time or again.

        Every attempt has a number of its own on the wire, so that fragments of an earlier one are stale.
        """
        if frame.key is not None:
            self.coordinator.forget(frame.key)
        frame.attempts += 1
        frame.plan, frame.key = self._plan, FrameKey(self.session, self._plan.epoch, self._issued)
        self._issued += 1
        patience_s = PATIENCE * self.values["frame_timeout_s"]
        self.coordinator.start(frame.key, self._plan.schedule, frame.pixels, patience_s)

    def _reissue_overdue(self) -> None:
        if self._plan is None:
            return
        now_s = self.coordinator.clock()
        for key in self.coordinator.overdue(self.values["frame_timeout_s"]):
            frame = self.book.of_key(key)
            if frame and now_s - self.coordinator.pending[key].started_s > self._limit_s(frame):
                names = ", ".join(self.coordinator.missing_workers(key))
                self.log.warning(f"frame {frame.number} is overdue, nothing came from {names}: issued again")
                self._issue(frame)

    def _limit_s(self, frame: Frame) -> float:
        """When a frame is issued again: where all workers live and are slow, doing its work twice makes them slower.

        So a cluster that is slow has longer, and so has each further attempt.
        """
        least_s = self.values["frame_timeout_s"]
        return min(max(least_s, SLOW * self._typical_s) * 2 ** (frame.attempts - 1), ABANDON * least_s)

    def _look_for_suspects(self) -> None:
        least_s, now_s = self.values["suspect_after_s"], self.coordinator.clock()
        waited_for: dict[str, float] = {}
        for key in self.coordinator.overdue(max(least_s, self._typical_s)):
            is_late = now_s - self.coordinator.pending[key].started_s > max(least_s, LATE * self._typical_s)
            for name in self.coordinator.missing_workers(key):
                waited_for[name] = min(1.0 if is_late else HARDLY_LATE, waited_for.get(name, HARDLY_LATE))
        self.waited_for = waited_for
        if waited_for and time.perf_counter() - self._looked_s > LOOK_S:
            self._looked_s = time.perf_counter()
            self.look_at_suspects()

    def _answer_alone(self, frame: Frame) -> None:
        if frame.key is not None:
            self.coordinator.forget(frame.key)
        frame.attempts += 1
        frame.key = frame.plan = None
        self._publish(frame, run_alone(self._model, frame.pixels), None)

    def _answer_all_alone(self) -> None:
        for frame in list(self.book.active.values()):
            self._answer_alone(frame)

    def _publish(self, frame: Frame, outputs: dict[str, torch.Tensor], answer: Answer | None) -> None:
        if self.book.answer(frame.number):
            alone = "" if answer else "no worker is left" if self._is_alone else self.outlet.trust.reason or STOPPED
            self.outlet.give(frame, outputs, answer, alone)

    def _send_out(
        self, result: InferenceResult, frame: Frame, outputs: dict[str, torch.Tensor], heads: TaskHeads
    ) -> None:
        self._results.publish(result)
        self._stack.publish(frame, outputs, result, heads, self.values["overlay_opacity"])

    def close(self) -> None:
        """Let go of the data side."""
        self.channel.close()
