"""A worker computes wrong: the self-check finds it, and from then on no wrong answer leaves the manager."""

import signal

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from std_srvs.srv import Trigger
from support.cluster import MANAGER, Cluster
from support.reference import TOLERANCE, Reference, write_rescaled_weights

from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.composition import ClusterOptions

pytestmark = pytest.mark.timeout(180)

HEIGHT, WIDTH = 48, 64
FAULTY, EVERY = "worker_3", 4


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_rescaled_weights(tmp_path_factory.mktemp("weights"), "support.tiny:net", HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def whole(weights):
    return Reference("support.tiny:net", weights, HEIGHT, WIDTH)


class Checked(Cluster):
    """Every `EVERY`th frame is checked; one worker's fault can be switched on and off."""

    lines: dict[str, DiagnosticStatus]

    def __enter__(self):
        super().__enter__()
        self.lines, self.is_faulty = {}, False

        def take(message: DiagnosticArray) -> None:
            self.lines.update({line.name: line for line in message.status})

        self.node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, take, qos.DIAGNOSTICS)
        self._clear = self.node.create_client(Trigger, "partition_manager/clear_self_check")
        return self

    def toggle_fault(self) -> None:
        self.is_faulty = not self.is_faulty
        self.group.children[FAULTY].send_signal(signal.SIGUSR1)
        text = f"faulty: {self.is_faulty}"
        self.until(lambda: self.log_of(FAULTY).splitlines()[-1].endswith(text), text)

    def clear(self) -> str:
        self.until(self._clear.service_is_ready, "the service")
        done = self._clear.call_async(Trigger.Request())
        self.until(done.done, "an answer of the service")
        assert done.result().success
        return done.result().message

    def line(self) -> DiagnosticStatus:
        return self.lines.get("coedge: self-check", DiagnosticStatus(level=DiagnosticStatus.STALE))


@pytest.fixture(scope="module")
def _cluster(weights, tmp_path_factory):
    entries = {
        "partition_manager": "support.entries:manager_with_fixed_shares",
        FAULTY: "support.entries:worker_with_a_fault_that_comes_and_goes",
    }
    options = ClusterOptions(
        model="support.tiny:net", weights=str(weights), height=HEIGHT, width=WIDTH, source="", with_visualizer=False,
        manager={**MANAGER, "self_check_every": EVERY},
    )  # fmt: skip
    with Checked(tmp_path_factory.mktemp("checked"), options, entries) as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster, whole):
    """All workers in use, without fault, and believed."""
    if _cluster.is_faulty:
        _cluster.toggle_fault()
    _cluster.wait_until_active()
    _cluster.clear()
    answers_until(_cluster, whole, lambda r: not r.fallback)
    return _cluster


def answers_until(cluster, whole, condition, most=2 * EVERY):
    """Results of frames one after the other, up to the first of which something holds."""
    results = []
    for frame in whole.frames(most, seed=30):
        results.append((cluster.ask(frame), frame))
        if condition(results[-1][0]):
            return results
    raise AssertionError(f"not among {most} frames:\n{cluster.logs()}")


def test_a_wrong_frame_is_replaced_and_all_that_follow_are_answered_by_the_manager(cluster, whole):
    cluster.until(lambda: cluster.line().level == DiagnosticStatus.OK, "all is well on /diagnostics")
    cluster.toggle_fault()
    results = answers_until(cluster, whole, lambda r: r.fallback)
    found, frame = results[-1]
    assert found.max_abs_diff > 10 * TOLERANCE * found.scale  # what the workers had made
    assert whole.is_equal(found, frame)  # what was answered
    assert "self-check of frame" in found.fallback_reason and "differs" in found.fallback_reason
    frames = whole.frames(EVERY + 2, seed=31)
    for result, frame in zip(cluster.answers(cluster.send_paced(frames)), frames, strict=True):
        assert result.fallback and result.fallback_reason == found.fallback_reason and whole.is_equal(result, frame)
    cluster.until(lambda: cluster.line().level == DiagnosticStatus.ERROR, "an error on /diagnostics")
    shown = {v.key: v.value for v in cluster.line().values}
    assert int(shown["frames_wrong"]) == 1 and float(shown["worst_max_abs_diff"]) > 0
    assert "self-check of frame" in cluster.log_of("partition_manager")


def test_clearing_puts_one_frame_on_trial_and_only_a_right_one_brings_the_workers_back(cluster, whole):
    cluster.toggle_fault()
    answers_until(cluster, whole, lambda r: r.fallback)
    assert "the next frame is checked" in cluster.clear()
    for is_trial, frame in zip((True, False, False), whole.frames(3, seed=32), strict=True):
        result = cluster.ask(frame)
        assert result.fallback and whole.is_equal(result, frame)
        assert not is_trial or result.max_abs_diff > 10 * TOLERANCE * result.scale  # the workers made it, and wrong
    cluster.toggle_fault()
    assert cluster.ask(whole.frames(1, seed=33)[0]).fallback  # nobody has asked to try again
    cluster.clear()
    for frame in whole.frames(3, seed=34):
        result = cluster.ask(frame)
        assert not result.fallback and whole.is_equal(result, frame)
    cluster.until(lambda: cluster.line().level == DiagnosticStatus.OK, "all is well on /diagnostics")
    assert cluster.clear() == "there was nothing to clear"


def test_a_new_plan_is_tried_by_itself(cluster, whole):
    cluster.toggle_fault()
    answers_until(cluster, whole, lambda r: r.fallback)
    cluster.kill(FAULTY)  # restarted without its fault
    cluster.is_faulty = False
    cluster.until(lambda: FAULTY not in cluster.plan().workers, "a plan without it")
    results = answers_until(cluster, whole, lambda r: not r.fallback)
    assert all(whole.is_equal(result, frame) for result, frame in results)
