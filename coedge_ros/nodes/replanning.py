"""When the planner looks whether another plan is better now: decisions only, without ROS and without threads."""

from __future__ import annotations

from dataclasses import dataclass

from coedge_ros.planning.tracking import Estimates, changes
from coedge_ros.spec.cluster import ClusterSpec

LOOK_S = 1.0  # between two looks: each takes some tenths of a second of a processor
MOST_LOOK_S = 8.0  # where looks find nothing, each pause is twice the one before
# Between two looks, in lengths of the last one: on a slow machine each takes a second of a processor that workers there
# could use. The first where figures have changed by `PLAIN`.
REST_PLAIN, REST = 3.0, 6.0
HOLD_S = 1.5  # between two plans for speed's sake
CALM_S = 10.0  # two plans within this time make the next one wait twice as long
MOST_HOLD_S = 60.0
PLAIN = 2.0  # a change by such a factor needs to last half as long
QUICK_S = 3.0  # a plan that was made without a search is looked at after so long: who was lost may be back by then
URGENT_GAIN = 0.35  # what another plan saves after a plain change; it need not wait for all of a long pause
URGENT_HOLD = 1 / 4  # of the pause
CUT = 4.0  # a link that changes by such a factor is no noise, however often plans have changed before: no pause at all
MOST_CUTS = 8  # in a row, with no calm between them: then it is noise after all, as on a link that loses packets


@dataclass
class Replanning:
    """Hysteresis: a dead band, a time for which figures must differ, and a pause that grows while plans flap.

    Parameters
    ----------
    cluster : ClusterSpec
        Of the cluster file: what it says of links that were not measured.
    """

    cluster: ClusterSpec
    _epoch: int = 0  # of the plan that figures were last compared with
    _epoch_since_s: float = float("-inf")
    _differs_since_s: float | None = None
    _looked_at: Estimates | None = None  # figures for which no plan saved `_looked_gain`
    _looked_gain: float = 0.0
    _looked_s: float = float("-inf")
    _look_s: float = LOOK_S
    _took_s: float = 0.0  # the last look
    _replanned_s: float = float("-inf")
    _hold_s: float = HOLD_S
    _is_cut: bool = False  # at the last look
    _cuts: int = 0  # plans for them in a row

    def is_due(
        self,
        now_s: float,
        epoch: int,
        planned: Estimates,
        now: Estimates,
        margin: float,
        after_s: float,
        is_quick: bool = False,
    ) -> bool:
        """Whether the planner should look: the figures have differed for long enough from those of the plan in force.

        When it has looked, and found nothing better, they must differ from those again.

        Parameters
        ----------
        epoch, planned
            Of the plan in force.
        margin : float
            By which part another plan must be better. Figures that differ by less are not looked at: a plan that is
            the best for its figures can hardly be worse by more.
        after_s : float
            For how long figures must differ; half of it when one is `PLAIN` times another.
        is_quick : bool
            Whether the plan in force was made without a search; then one look is due in any case.
        """
        if epoch != self._epoch:
            self._epoch, self._looked_at, self._differs_since_s, self._look_s = epoch, None, None, LOOK_S
            self._epoch_since_s = now_s
        if is_quick and self._looked_s < self._epoch_since_s + QUICK_S <= now_s:
            self._looked_s = now_s
            return True
        is_known = self._looked_at is not None and self._looked_gain <= self.least_gain(now_s, margin)
        found = changes(planned, now, self.cluster)  # largest first
        others = changes(self._looked_at, now, self.cluster) if is_known else found
        most = min(found[0].ratio, others[0].ratio) if found and others else 1.0
        if most <= 1 + margin:
            self._differs_since_s = None
            return False
        if self._differs_since_s is None:
            self._differs_since_s = now_s
        plain = found[0].ratio >= PLAIN
        has_lasted = now_s - self._differs_since_s >= (after_s / 2 if plain else after_s)
        if now_s - self._replanned_s >= CALM_S:
            self._cuts = 0
        is_cut = self._cuts < MOST_CUTS and any(change.is_link and change.ratio >= CUT for change in found)
        pause_s = LOOK_S if is_cut else self._pause_s(most >= PLAIN)
        if not has_lasted or now_s - self._looked_s < pause_s:
            return False
        self._is_cut = is_cut
        if self._rests(now_s):
            rest_s = LOOK_S if self._is_cut else max(HOLD_S, URGENT_HOLD * self._hold_s)
            if not plain or now_s - self._replanned_s < rest_s:
                return False
        self._looked_s = now_s
        return True

    def _pause_s(self, is_plain: bool) -> float:
        """From the beginning of the last look to the next."""
        least_s, rest = (LOOK_S, REST_PLAIN) if is_plain else (self._look_s, REST)
        return max(least_s, (1 + rest) * self._took_s)

    def looked(self, took_s: float) -> None:
        """A look is over."""
        self._took_s = took_s

    def least_gain(self, now_s: float, margin: float) -> float:
        """What another plan must save now: more than the margin while it rests, unless a link was cut."""
        return max(margin, URGENT_GAIN) if self._rests(now_s) and not self._is_cut else margin

    def found_little(self, figures: Estimates, gain: float) -> None:
        """No plan saves `gain` with these figures."""
        self._looked_at, self._looked_gain, self._differs_since_s = figures, gain, None
        self._look_s = min(2 * self._look_s, MOST_LOOK_S)

    def _rests(self, now_s: float) -> bool:
        return now_s - self._replanned_s < self._hold_s

    def replanned(self, now_s: float) -> None:
        """Another plan is made for the figures of now.

        After a cut the next may come soon: the links of a host are measured one after the other, and the first plan may
        not have known of all.
        """
        flaps = now_s - self._replanned_s < max(CALM_S, 2 * self._hold_s)
        self._hold_s = LOOK_S if self._is_cut else min(2 * self._hold_s, MOST_HOLD_S) if flaps else HOLD_S
        self._cuts += self._is_cut
        self._replanned_s, self._differs_since_s = now_s, None
