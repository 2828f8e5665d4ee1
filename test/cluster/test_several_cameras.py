"""Cameras as a robot has them: several at unequal rates, one of them compressed."""

from dataclasses import replace

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from support.cluster import WORKERS, Cluster

from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.composition import ClusterOptions
from coedge_ros.nodes.compressed_images import encode_compressed
from coedge_ros.nodes.image_codec import encode_image

pytestmark = pytest.mark.timeout(180)
FRONT, REAR = "/coedge/front", "/coedge/rear/compressed"
ROUNDS, BURST = 6, 5
OPTIONS = ClusterOptions(
    model="support.tiny:net", weights="", height=48, width=64, source="",
    manager={"image_reliable": True, "expected_workers": ["worker_1"], "publish_tensors": True},
)  # fmt: skip


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def header(second: int, camera: str) -> Header:
    made = Header(frame_id=camera)
    made.stamp.sec = second
    return made


def test_two_cameras_at_unequal_rates_are_both_answered_and_the_slower_loses_nothing(tmp_path):
    options = replace(OPTIONS, image_topics=("front", "rear/compressed"), with_visualizer=False)
    with Cluster(tmp_path, options, without=WORKERS[1:]) as cluster:
        cluster.wait_until_active(["worker_1"])
        front = cluster.node.create_publisher(Image, "front", qos.CAMERA_OUTPUT)
        rear = cluster.node.create_publisher(CompressedImage, "rear/compressed", qos.CAMERA_OUTPUT)
        cluster.until(lambda: front.get_subscription_count() and rear.get_subscription_count(), "both are read")

        def answers(camera: str) -> dict:
            return {r.header.stamp.sec: r for r in cluster.record.results if r.header.frame_id == camera}

        def dropped() -> dict[str, int]:
            return dict(zip(cluster.manager.dropped_reasons, cluster.manager.dropped_counts, strict=True))

        def burst(round_: int) -> None:
            for i in range(BURST):
                front.publish(encode_image(pixels(round_), header(1 + len(sent) * BURST + i, "front")))
            sent.append(BURST)

        sent: list[int] = []
        for round_ in range(ROUNDS):
            burst(round_)
            rear.publish(encode_compressed(pixels(round_), header(1 + round_, "rear"), "png"))
            burst(round_)  # in one queue for both these would push the picture before them out
            cluster.until(lambda: len(answers("rear")) == round_ + 1, f"answer {round_ + 1} of the slower camera")  # noqa: B023
        replaced = f"replaced by a newer frame of {FRONT}"
        cluster.until(lambda: len(answers("front")) + dropped().get(replaced, 0) == sum(sent), "all are accounted for")
        assert set(dropped()) <= {replaced} and len(answers("front")) >= ROUNDS
        assert len(cluster.record.results) == len(answers("front")) + len(answers("rear"))

        # The same picture has the same answer whichever way it came; its camera is told by the frame_id.
        last = max(answers("front"))
        assert answers("rear")[ROUNDS].tensors[0].data == answers("front")[last].tensors[0].data
        assert answers("rear")[ROUNDS].tensors[0].data != answers("rear")[1].tensors[0].data

        whole = encode_compressed(pixels(0), header(90, "rear"), "jpeg")
        rear.publish(CompressedImage(header=header(91, "rear"), format="jpeg", data=whole.data[: len(whole.data) // 2]))
        rear.publish(whole)
        cluster.until(lambda: 90 in answers("rear"), "the next picture is answered")
        cluster.until(lambda: dropped().get(f"unreadable image of {REAR}") == 1, "the broken one is counted")
        assert f"image of {REAR} dropped: compressed image of" in cluster.log_of("partition_manager")
        assert "broken JPEG, it ends too early" in cluster.log_of("partition_manager")


def test_compressed_images_go_from_the_camera_node_to_the_annotated_image(tmp_path):
    camera = {"loop": True, "rate_hz": 5.0, "width": 96, "wait_for_subscribers": 2, "wait_timeout_s": 100.0}
    options = replace(OPTIONS, source="example", image_transport="compressed", camera=camera)
    with Cluster(tmp_path, options, without=WORKERS[1:]) as cluster:
        annotated = []
        cluster.node.create_subscription(Image, topics.ANNOTATED_IMAGE, annotated.append, qos.ANNOTATED_IMAGE)
        cluster.until(lambda: cluster.record.results and annotated, "an answer and its picture", 100.0)
        assert {i.header.frame_id for i in annotated} == {"camera"} and annotated[0].width > 96
        raw = cluster.node.get_subscriptions_info_by_topic("/coedge/image")
        assert not raw and not cluster.manager.dropped_reasons.count("unreadable image")
