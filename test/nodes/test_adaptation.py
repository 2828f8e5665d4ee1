"""What the manager learns from frames: of workers that had enough to do for their speed to show."""

import math
from collections import deque
from types import SimpleNamespace

import pytest

from coedge_ros.execution.coordinator import Usage
from coedge_ros.nodes.adaptation import Adaptation
from coedge_ros.planning.tracking import SPEED_WINDOW
from coedge_ros.spec.cluster import ClusterSpec, Host, Link
from coedge_ros.spec.schedule import TELLING_SHARE


def served(adaptation: Adaptation, macs: dict[str, int], expected_s: dict[str, float], compute_s: dict[str, float]):
    usage = [Usage(name, macs[name], compute_s[name], 0.0, 0.0, 0, 0, ()) for name in macs]
    plan = SimpleNamespace(compute_s=expected_s, message=SimpleNamespace(predicted_latency_s=math.nan))
    adaptation.take_in(deque([(plan, SimpleNamespace(usage=usage, latency_s=0.1))]))


@pytest.fixture
def adaptation() -> Adaptation:
    return Adaptation(ClusterSpec((Host("here"),), (), Link(0.001, 1e6), "here"), {"track": True})


@pytest.mark.parametrize(("share", "tells"), [(0.4, True), (1.01 * TELLING_SHARE, True), (0.9 * TELLING_SHARE, False)])
def test_a_worker_with_next_to_nothing_to_do_is_not_taken_for_a_slow_one(adaptation, share, tells):
    macs = {"a": 1_000_000, "b": round(1_000_000 * share / (1 - share))}
    for _ in range(SPEED_WINDOW):
        served(adaptation, macs, {"a": 0.02, "b": 0.02 * share}, {"a": 0.02, "b": 0.04 * share})
    assert adaptation.estimates.speed == {"a": 1.0} | ({"b": pytest.approx(0.5)} if tells else {})


def test_what_was_known_before_stays_known(adaptation):
    for _ in range(SPEED_WINDOW):
        served(adaptation, {"a": 10, "b": 10}, {"a": 0.02, "b": 0.02}, {"a": 0.02, "b": 0.025})
    for _ in range(3 * SPEED_WINDOW):
        served(adaptation, {"a": 1000, "b": 1}, {"a": 0.04, "b": 1e-5}, {"a": 0.04, "b": 0.001})
    assert adaptation.estimates.speed["b"] == pytest.approx(0.8)
