"""The manager's line on /diagnostics."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from coedge_ros.msg import ManagerStatus
from coedge_ros.nodes.manager_status import manager_diagnostics


def status(state: int = ManagerStatus.STATE_ACTIVE, **values) -> ManagerStatus:
    return ManagerStatus(state=state, message="plan 1", workers=["a", "b"], **values)


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (ManagerStatus.STATE_LOADING, DiagnosticStatus.WARN),
        (ManagerStatus.STATE_WAITING, DiagnosticStatus.WARN),
        (ManagerStatus.STATE_PREPARING, DiagnosticStatus.WARN),
        (ManagerStatus.STATE_ACTIVE, DiagnosticStatus.OK),
        (ManagerStatus.STATE_ALONE, DiagnosticStatus.ERROR),
        (ManagerStatus.STATE_ERROR, DiagnosticStatus.ERROR),
    ],
)
def test_every_state_has_its_level(state, level):
    assert manager_diagnostics(status(state)).level == level


def test_newly_refused_fragments_are_a_warning_and_old_ones_are_not():
    with_refused = status(rejected_reasons=["size"], rejected_counts=[3])
    line = manager_diagnostics(with_refused, newly_rejected=2)
    assert line.level == DiagnosticStatus.WARN and "refused 2 fragments" in line.message
    assert manager_diagnostics(with_refused).level == DiagnosticStatus.OK


def test_all_counters_are_shown():
    line = manager_diagnostics(
        status(
            epoch=4, frames_received=9, frames_accepted=8, frames_answered=7, missing=["c"],
            dropped_reasons=["unreadable image"], dropped_counts=[1], rejected_reasons=["rows"], rejected_counts=[5],
        )
    )  # fmt: skip
    shown = {v.key: v.value for v in line.values}
    wanted = {
        "state": "active", "epoch": "4", "workers": "a b", "missing": "c", "frames_received": "9",
        "frames_accepted": "8", "frames_answered": "7", "dropped_unreadable_image": "1", "rejected_rows": "5",
    }  # fmt: skip
    assert wanted.items() <= shown.items()
