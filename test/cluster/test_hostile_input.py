"""What does not fit is dropped, counted, shown on status and /diagnostics; it stops no node and changes no answer."""

import array

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from support.cluster import WORKERS
from support.reference import TOLERANCE

from coedge_ros.msg import Fragment, ManagerStatus, PartitionPlan, WorkerStatus
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.messages import plan_from_message
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.schedule import MANAGER, TransferKind

pytestmark = pytest.mark.timeout(120)


def counts(status: ManagerStatus | WorkerStatus) -> dict[str, int]:
    return dict(zip(status.rejected_reasons, status.rejected_counts, strict=True))


class Intruder:
    """Publishes to the cluster what it should refuse."""

    def __init__(self, cluster, graph):
        self.cluster, self.node = cluster, cluster.node
        self.message = cluster.plan()
        self.schedule = derive_schedule(graph, plan_from_message(self.message))
        self._publishers = {}

    def publish(self, kind, topic, profile, message) -> None:
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(kind, topic, profile)
            publisher = self._publishers[topic]
            self.cluster.until(lambda: publisher.get_subscription_count() > 0, f"somebody reads {topic}")
        self._publishers[topic].publish(message)

    def send(self, receiver: str, message: Fragment) -> None:
        self.publish(Fragment, topics.fragments_topic(receiver), qos.fragments_qos(256), message)

    def fragment(self, receiver: str, kind: TransferKind, frame: int) -> Fragment:
        """A fragment that fits the plan in force in all things; its bytes are zeros."""
        plan = self.schedule.plan
        names = {MANAGER: "manager", **dict(enumerate(plan.workers))}
        t = next(t for t in self.schedule.of_kind(kind) if names[t.target] == receiver)
        message = Fragment(
            protocol_version=1, session=self.message.session, epoch=self.message.epoch, frame=frame, transfer=t.index,
            chunk_count=1, model_digest=plan.model_digest, dtype=t.dtype, source=names[t.source],
            shape=array.array("I", t.wire_shape), data=array.array("B", bytes(t.wire_bytes)),
        )  # fmt: skip
        message.row_start, message.row_stop = (t.rows.start, t.rows.stop) if t.rows else (0, 0)
        return message


@pytest.fixture
def intruder(cluster, partitioned):
    cluster.refresh()
    return Intruder(cluster, partitioned.graph)


@pytest.fixture
def diagnostics(cluster):
    """Newest line by name."""
    lines = {}

    def take(message: DiagnosticArray) -> None:
        lines.update({line.name: line for line in message.status})

    subscription = cluster.node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, take, qos.DIAGNOSTICS)
    yield lines
    cluster.node.destroy_subscription(subscription)


def shown(line, reason: str) -> int:
    return next((int(v.value) for v in line.values if v.key == f"rejected_{reason}"), 0) if line else 0


FAR = 2**31  # a frame number that the manager does not reach

WRONG = {
    "too few bytes": ({"data": array.array("B", b"123")}, "size"),
    "no bytes": ({"data": array.array("B")}, "size"),
    "another shape": ({"shape": array.array("I", [2**32 - 1] * 4)}, "shape"),
    "another type": ({"dtype": "object"}, "shape"),
    "other rows": ({"row_start": 1, "row_stop": 2**32 - 1}, "rows"),
    "a transfer that no stage has": ({"transfer": 10**6}, "unknown_transfer"),
    "a transfer of another stage, for another worker": ({"transfer": 0}, "wrong_receiver"),
    "another epoch": ({"epoch": 10**6}, "unknown_epoch"),
    "another session": ({"session": 12345}, "unknown_session"),
    "an unknown worker": ({"source": "stranger"}, "wrong_source"),
    "a name with control characters": ({"source": "worker_1\n\x1b[2J" * 50}, "wrong_source"),
    "other weights": ({"model_digest": "0" * 64}, "model_digest"),
    "another protocol": ({"protocol_version": 9}, "protocol_version"),
    "a chunk beyond the last": ({"chunk": 7}, "chunk"),
    "no chunks": ({"chunk_count": 0}, "chunk"),
    "an unknown codec": ({"codec": 77}, "codec"),
}


def changed(message: Fragment, changes: dict) -> Fragment:
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_wrong_fragments_to_a_worker_are_dropped_and_counted(cluster, intruder, diagnostics, reference):
    name = "worker_3"  # the last band: transfer 0 is for the first
    before = counts(cluster.worker(name))
    expected = dict(before)
    for changes, reason in WRONG.values():
        intruder.send(name, changed(intruder.fragment(name, TransferKind.HALO, FAR), changes))
        expected[reason] = expected.get(reason, 0) + 1
    cluster.until(lambda: counts(cluster.worker(name)) == expected, f"{name} counts {expected}")
    for reason in {reason for _, reason in WRONG.values()}:
        cluster.until(
            lambda reason=reason: shown(diagnostics.get(f"coedge: worker {name}"), reason) == expected[reason],
            f"/diagnostics shows {expected[reason]} of {reason}",
        )
    frame = reference.frames(1, seed=1)[0]
    result = cluster.ask(frame)
    assert reference.is_equal(result, frame) and result.attempts == 1 and not result.fallback
    assert counts(cluster.worker(name)) == expected


def test_wrong_fragments_to_the_manager_are_dropped_and_counted(cluster, intruder, diagnostics, reference):
    expected = counts(cluster.manager)
    wrong = {name: case for name, case in WRONG.items() if "rows" not in name}  # a result of this model has none
    for changes, reason in (*wrong.values(), ({}, "unknown_frame")):
        intruder.send("manager", changed(intruder.fragment("manager", TransferKind.RESULT, FAR), changes))
        expected[reason] = expected.get(reason, 0) + 1
    cluster.until(lambda: counts(cluster.manager) == expected, f"the manager counts {expected}")
    for reason, count in expected.items():
        cluster.until(
            lambda reason=reason, count=count: shown(diagnostics.get("coedge: partition manager"), reason) == count,
            f"/diagnostics shows {count} of {reason}",
        )
    frame = reference.frames(1, seed=2)[0]
    assert reference.is_equal(cluster.ask(frame), frame)


def test_a_frame_that_nobody_completes_is_given_up_and_disturbs_none(cluster, intruder, reference):
    name = "worker_2"
    abandoned = cluster.worker(name).frames_abandoned
    intruder.send(name, intruder.fragment(name, TransferKind.HALO, FAR + 1))  # fits in all things
    frames = reference.frames(3, seed=3)
    results = cluster.answers(cluster.send_paced(frames))
    assert all(reference.is_equal(r, f) for r, f in zip(results, frames, strict=True))
    cluster.until(lambda: cluster.worker(name).frames_abandoned == abandoned + 1, "the frame is given up", 40.0)


def test_random_fragments_stop_nobody(cluster, intruder, reference):
    random = np.random.default_rng(0)
    fields = {
        "session": lambda: int(random.integers(0, 2**63)),
        "epoch": lambda: int(random.integers(0, 2**32)),
        "transfer": lambda: int(random.integers(0, 300)),
        "frame": lambda: int(random.integers(0, 2**32)),
        "chunk": lambda: int(random.integers(0, 2**16)),
        "chunk_count": lambda: int(random.integers(0, 2**16)),
        "row_start": lambda: int(random.integers(0, 2**32)),
        "row_stop": lambda: int(random.integers(0, 2**32)),
        "shape": lambda: array.array("I", random.integers(0, 2**32, random.integers(0, 9)).tolist()),
        "dtype": lambda: str(random.choice(["float32", "uint8", "__class__", ""])),
        "source": lambda: str(random.choice(["worker_1", "manager", "\x00\x07", "x" * 500])),
        "data": lambda: array.array("B", random.bytes(int(random.integers(0, 5000)))),
        "scale": lambda: array.array("f", random.normal(size=3).tolist()),
        "codec": lambda: int(random.integers(0, 256)),
    }
    received = {name: sum(counts(cluster.worker(name)).values()) for name in WORKERS}
    before = sum(counts(cluster.manager).values())
    for i in range(200):
        changes = {name: fields[name]() for name in random.choice(list(fields), 4, replace=False)}
        changes["session"] = fields["session"]() if i % 2 else intruder.message.session
        changes.setdefault("model_digest", "?")  # one thing at least does not fit
        for receiver, kind in (("worker_1", TransferKind.HALO), ("manager", TransferKind.RESULT)):
            intruder.send(receiver, changed(intruder.fragment(receiver, kind, FAR + 2), changes))
        cluster.listen(0.002)
    cluster.until(
        lambda: (
            sum(counts(cluster.worker("worker_1")).values()) == received["worker_1"] + 200
            and sum(counts(cluster.manager).values()) == before + 200
        ),
        "all are refused",
    )
    frame = reference.frames(1, seed=4)[0]
    assert reference.difference(cluster.ask(frame), frame) <= TOLERANCE


def image(**changes) -> Image:
    message = Image(height=4, width=5, step=15, encoding="rgb8", data=array.array("B", bytes(60)))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


UNREADABLE = {
    "empty": (Image(), "empty image"),
    "truncated": (image(data=array.array("B", bytes(59))), "truncated image: 59 bytes"),
    "a huge size": (image(height=2**32 - 1, width=2**32 - 1, step=2**32 - 1), "is too small"),
    "rows that overlap": (image(step=14), "step 14 is too small"),
    "half a pair of pixels": (image(encoding="yuv422_yuy2"), "width 5 is odd: in yuv422_yuy2"),
    "an unsupported encoding": (image(encoding="32FC1"), "use one of rgb8, bgr8, mono8, rgba8, bgra8"),
    "an encoding of control characters": (image(encoding="\x1b[2J"), "use one of rgb8"),
}


@pytest.mark.parametrize(("message", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_image_that_cannot_be_read_is_dropped_named_and_counted(cluster, reference, message, said):
    def dropped() -> int:
        return dict(zip(cluster.manager.dropped_reasons, cluster.manager.dropped_counts, strict=True)).get(
            "unreadable image", 0
        )

    cluster.refresh()
    before, frame = dropped(), reference.frames(1, seed=5)[0]
    cluster.images.publish(message)
    assert reference.is_equal(cluster.ask(frame), frame)
    cluster.until(lambda: dropped() == before + 1, "the image is counted as dropped")
    cluster.until(lambda: said in cluster.log_of("partition_manager"), f"the log says {said!r}")


def test_plans_that_make_no_sense_are_refused_and_the_one_in_force_stays(cluster, intruder, reference):
    good = intruder.message
    bad = {
        "descending rows": {"boundaries": list(good.boundaries)[::-1]},
        "no rows": {"boundaries": []},
        "cuts beyond the model": {"cuts": [*good.cuts[:-1], 10**6]},
        "a name that is no topic": {"workers": [*good.workers[:-1], "a b\n"]},
        "a head that is nobody": {"head": "nobody"},
        "a time limit that is none": {"frame_timeout_s": float("nan")},
        "another size": {"height": 5},
        "other weights": {"model_digest": "0" * 64},
        "another protocol": {"protocol_version": 9},
    }
    prepared = {name: list(cluster.worker(name).prepared_epochs) for name in WORKERS}
    for changes in bad.values():
        message = PartitionPlan(**{name: getattr(good, name) for name in good.get_fields_and_field_types()})
        message.session, message.epoch = 999, 1
        for name, value in changes.items():
            setattr(message, name, value)
        intruder.publish(PartitionPlan, topics.PARTITION_PLAN, qos.PLAN, message)
        cluster.listen(0.1)
    frame = reference.frames(1, seed=6)[0]
    assert reference.is_equal(cluster.ask(frame), frame)
    assert {name: list(cluster.worker(name).prepared_epochs) for name in WORKERS} == prepared
    assert all(cluster.worker(name).state == WorkerStatus.STATE_ACTIVE for name in WORKERS)
    assert "is refused" in cluster.log_of("worker_1") and "has digest" not in cluster.log_of("worker_1")


def test_a_worker_that_is_not_what_it_says_changes_no_plan(cluster, intruder, reference):
    status = cluster.worker("worker_1")

    def ghost(**changes) -> WorkerStatus:
        message = WorkerStatus(**{name: getattr(status, name) for name in status.get_fields_and_field_types()})
        message.name, message.instance = "ghost", 1
        message.matched_peers = [*WORKERS, "manager"]
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    epoch = cluster.manager.epoch
    for message in (
        ghost(),  # ready and fast, but without an endpoint for fragments
        ghost(name="a b\n\x1b[2J"),
        ghost(name=""),
        ghost(speed_macs_per_s=float("nan")),
        ghost(protocol_version=9),
        ghost(prepared_sessions=[1, 2, 3], prepared_epochs=[]),
    ):
        intruder.publish(WorkerStatus, topics.WORKER_STATUS, qos.STATUS, message)
        cluster.listen(0.15)
    cluster.until(lambda: "ghost" in cluster.manager.workers, "the manager has heard of it")
    frame = reference.frames(1, seed=7)[0]
    assert reference.is_equal(cluster.ask(frame), frame)
    assert cluster.manager.epoch == epoch
    cluster.until(lambda: "ghost" not in cluster.manager.workers, "and has forgotten it")
