"""A cluster with use_sim_time: nothing in it waits for the simulation's clock, which only stamps what is said."""

import time

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from support.cluster import MANAGER, Cluster

from coedge_ros.msg import ManagerStatus
from coedge_ros.nodes.composition import ClusterOptions

pytestmark = pytest.mark.timeout(180)
START_S, PACE = 5000, 0.1  # the simulation begins then and runs at a tenth of real time
LOST_AFTER_S = 1.0
FILE = """
hosts: [{name: box}]
workers: [{name: a, host: box}, {name: b, host: box}]
links: {default: {alpha_s: 0.001, bytes_per_s: 1.0e+8}}
"""


@pytest.fixture
def cluster(tmp_path):
    """Two workers and a manager; no visualizer and no camera."""
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE)
    options = ClusterOptions(
        cluster=str(path), model="support.tiny:net", weights="", height=48, width=64, source="", use_sim_time=True,
        manager={**MANAGER, "planner": "manual", "lost_after_s": LOST_AFTER_S}, with_visualizer=False,
    )  # fmt: skip
    with Cluster(tmp_path / "logs", options) as cluster:
        yield cluster


def test_frames_are_answered_before_the_simulation_begins_while_it_is_slow_and_while_it_stands(cluster):
    picture = np.full((48, 64, 3), 90, np.uint8)

    def answer():
        began_s = time.monotonic()
        stamp = cluster.send(picture)
        cluster.until(lambda: cluster.results_of(stamp), "an answer")
        took_ms = (time.monotonic() - began_s) * 1e3
        (result,) = cluster.results_of(stamp)
        assert result.header.stamp.nanosec == 0 and result.header.frame_id == "test"  # the picture's, copied
        assert 0 < result.latency_ms < took_ms
        assert not result.fallback and result.attempts == 1 and len(result.workers) == 2
        return result

    def stamps() -> list[int]:
        return [m.header.stamp.sec for m in (cluster.manager, *cluster.record.workers.values())]

    cluster.until(lambda: cluster.manager.state == ManagerStatus.STATE_ACTIVE, "active", 100)
    first = answer()
    assert stamps() == [0, 0, 0]  # a simulated clock that has not begun

    clock, began_s = cluster.node.create_publisher(Clock, "/clock", 1), time.monotonic()

    def tick() -> bool:
        now_s = START_S + PACE * (time.monotonic() - began_s)
        message = Clock()
        message.clock.sec, message.clock.nanosec = int(now_s), int(now_s % 1 * 1e9)
        clock.publish(message)
        return all(START_S <= s < START_S + 10 for s in stamps())

    cluster.until(tick, "the simulation's time in all statuses")
    answer()

    frozen = time.monotonic()
    counted = cluster.worker("a").frames
    cluster.until(lambda: time.monotonic() - frozen > 1.5 * LOST_AFTER_S, "some time in which the clock stands")
    last = answer()
    assert last.epoch == first.epoch  # silence of the clock is not silence of a worker
    cluster.until(lambda: cluster.worker("a").frames > counted, "statuses go on", 3)
