"""Where answers leave the manager. Every Nth is compared with the whole model first, and nobody waits for that but it.

The whole model runs on a thread of its own, one frame after the other, while the workers compute other frames. When a
frame was wrong, its result is the whole model's, and so is that of all others until the workers are believed again
(`trust.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from std_srvs.srv import Trigger

from coedge_ros.execution.comparison import TOLERANCE, Comparison
from coedge_ros.execution.coordinator import Answer
from coedge_ros.msg import InferenceResult
from coedge_ros.nodes.answers import SelfCheck
from coedge_ros.nodes.diagnostics import CheckTotals, check_diagnostics
from coedge_ros.nodes.frames import Frame
from coedge_ros.nodes.loader import Loader
from coedge_ros.nodes.results import ResultMaker
from coedge_ros.nodes.task_heads import TaskHeads
from coedge_ros.nodes.trust import Trust

CLEAR_SELF_CHECK = "~/clear_self_check"
MOST_CHECKS = 4  # frames that wait for their comparison; no other is accepted meanwhile
Outputs = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Given:
    """A frame that was answered; `answer` is None when the manager has answered alone, for `reason`.

    `make_result` and `check` are those of the model that has answered.
    """

    make_result: ResultMaker
    check: SelfCheck
    frame: Frame
    outputs: Outputs
    answer: Answer | None
    reason: str


class Outlet:
    """Makes and publishes results. All methods are the data loop's, but for `diagnostics`.

    Parameters
    ----------
    control : Node
        The manager's control node: gets the service `~/clear_self_check`.
    values : dict
        Parameters of the manager, followed as they change.
    publish : callable
        Takes the message, its frame and the outputs.
    post : callable
        Hands work to the data loop.
    on_doubt : callable
        Called when the workers are not believed any more: what is with them is to be answered alone.
    """

    def __init__(
        self,
        control: Node,
        values: dict[str, Any],
        publish: Callable[[InferenceResult, Frame, Outputs, TaskHeads], None],
        post: Callable[[Callable[[], None]], None],
        on_doubt: Callable[[], None],
    ):
        self.values, self.log, self.trust = values, control.get_logger(), Trust()
        self._publish, self._post, self._on_doubt = publish, post, on_doubt
        self._totals = CheckTotals()
        self._waiting = 0
        self._thread = Loader(self.log.error)
        control.create_service(Trigger, CLEAR_SELF_CHECK, self._clear)

    def load(self, results: ResultMaker, check: SelfCheck) -> None:
        """From now on there is a model to answer with, or another one."""
        self._make_result, self._check = results, check

    def unload(self) -> None:
        """Let go of the model."""
        self._make_result = self._check = None

    @property
    def has_room(self) -> bool:
        """Whether another frame may be accepted."""
        return self._waiting < MOST_CHECKS

    def give(self, frame: Frame, outputs: Outputs, answer: Answer | None, reason: str = "") -> None:
        """A frame is answered: publish its result, now or when it has been compared."""
        given = _Given(self._make_result, self._check, frame, outputs, answer, reason)
        if answer is None:
            self.trust.no_trial_of(frame.number)
        every = self.values["self_check_every"]
        is_doubted = answer is not None and bool(self.trust.reason)
        if is_doubted or (every and frame.number % every == 0):
            self._waiting += 1
            self._thread.submit(self._compare, given)
        else:
            self._send(given)

    def _send(self, given: _Given, found: Comparison | None = None) -> None:
        now_s = time.perf_counter()
        result = given.make_result(given.frame, given.outputs, given.answer, now_s, given.reason, found)
        self._publish(result, given.frame, given.outputs, given.make_result.heads)

    # -- the thread that compares -------------------------------------------------------------------------------------

    def _compare(self, given: _Given) -> None:
        torch.set_num_threads(1)  # the workers need the others
        found, whole, failure = None, given.outputs, ""
        plan = given.frame.plan  # None: the manager's own answer
        tolerance = plan.schedule.plan.tolerance if plan else TOLERANCE
        try:
            found, whole = given.check.compare(given.frame.pixels, given.outputs, tolerance)
        except Exception as error:  # the user's module may fail in any way; the answer goes out all the same
            failure = f"{type(error).__name__}: {error}"
        self._post(lambda: self._compared(given, found, whole, failure))

    # -- data loop again ----------------------------------------------------------------------------------------------

    def _compared(self, given: _Given, found: Comparison | None, whole: Outputs, failure: str) -> None:
        self._waiting -= 1
        number, answer = given.frame.number, given.answer
        self._totals.add(found)
        if found is not None and found.is_equal:
            if answer is not None and self.trust.was_right(number):
                self.log.warning(f"self-check: frame {number} is right, the workers are used again")
            self._send(given, found)
            return
        what = f"{found.tensor} differs by {found.max_abs_diff:.3g} of {found.scale:.3g}" if found else failure
        reason = f"self-check of frame {number}: {what}"
        if found:
            self.log.error(f"{reason}, more than {found.tolerance:g} times that")
        else:
            self.log.error(f"self-check of frame {number} failed: {failure}")
        if answer is None or (found is None and number != self.trust.trial):
            self._send(given, found)  # the manager's own answer: there is no other; or nothing is known of it
            return
        self._send(replace(given, outputs=whole, answer=None, reason=reason), found)
        self.trust.was_wrong(answer.key.epoch, reason)
        self.log.error(f"plan {answer.key.epoch} is not used: the manager answers alone until a new plan, or a call of "
                       f"{CLEAR_SELF_CHECK}, gives it a right frame")  # fmt: skip
        self._on_doubt()

    # -- executor thread ----------------------------------------------------------------------------------------------

    def _clear(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        reason = self.trust.reason
        self._post(self.trust.try_again)
        response.success = True
        response.message = "the next frame is checked, and if it is right the workers are used again"
        if not reason:
            response.message = "there was nothing to clear"
        return response

    def diagnostics(self) -> DiagnosticStatus:
        """The self-check's line on /diagnostics."""
        return check_diagnostics(self._totals, self.values["self_check_every"], self.trust.reason)
