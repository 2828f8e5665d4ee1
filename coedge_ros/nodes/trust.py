"""Whether the workers' answers are believed: what follows from self-checks, without ROS, without torch, without time.

believed:  frames go to the workers
doubted:   a checked frame was wrong: the manager answers by itself
on trial:  the plan is another one, or somebody has asked for it: the next frame goes to the workers and is checked, all
           others are answered by the manager until it has turned out right
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Trust:
    """State of the belief; the data loop's alone, but `reason` may be read by any thread.

    Attributes
    ----------
    reason : str
        Why the workers' answers are not believed; "" while they are.
    trial : int, optional
        Number of the frame that is on trial.
    """

    reason: str = ""
    trial: int | None = None
    _epoch: int = 0
    _is_on_trial: bool = False

    def lets_work(self, number: int) -> bool:
        """Whether a frame that is accepted now goes to the workers; the first one on trial is remembered."""
        if not self.reason:
            return True
        if not self._is_on_trial or self.trial not in (None, number):
            return False
        self.trial = number
        return True

    def use(self, epoch: int) -> None:
        """Another plan is in force: other rows, or other processes."""
        self._epoch = epoch
        self.try_again()

    def try_again(self) -> None:
        """Put the workers on trial, unless they are believed."""
        self._is_on_trial, self.trial = bool(self.reason), None

    def no_trial_of(self, number: int) -> None:
        """A frame was not answered by the workers after all; when it was on trial, the next one is."""
        if number == self.trial:
            self.trial = None

    def was_right(self, number: int) -> bool:
        """A checked frame was right: believe again if it was the one on trial; returns whether that is so."""
        if self.trial != number:
            return False
        self.reason, self.trial, self._is_on_trial = "", None, False
        return True

    def was_wrong(self, epoch: int, reason: str) -> None:
        """A checked frame of the plan `epoch` was wrong, or could not be checked while on trial."""
        self.reason, self.trial = reason, None
        self._is_on_trial = epoch != self._epoch  # by now there is another plan, of which that says nothing
