"""A segmentation model's answer as label image and overlay: the whole model's classes, at the camera's size."""

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import Image
from support.cluster import FIXED_SHARES, HEIGHT, MANAGER, WIDTH, Cluster
from support.reference import Reference, write_rescaled_weights

from coedge_ros.drawing.overlay import draw_overlay
from coedge_ros.graph.example_data import photo
from coedge_ros.nodes import qos
from coedge_ros.nodes.composition import ClusterOptions
from coedge_ros.nodes.image_codec import decode_image, resize_to

pytestmark = pytest.mark.timeout(180)
MODEL = "lraspp_mobilenet_v3"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_rescaled_weights(tmp_path_factory.mktemp("weights"), MODEL, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def cluster(weights, tmp_path_factory):
    options = ClusterOptions(
        model=MODEL, weights=str(weights), height=HEIGHT, width=WIDTH, source="",
        manager={**MANAGER, "expected_workers": ["worker_1", "worker_2"], "publish_tensors": False},
    )  # fmt: skip
    without = ["worker_3", "load_visualizer"]
    with Cluster(tmp_path_factory.mktemp("labels"), options, FIXED_SHARES, without=without) as cluster:
        cluster.wait_until_active(["worker_1", "worker_2"])
        yield cluster


def test_labels_and_overlay_come_with_the_stamp_of_their_image_and_are_the_whole_models(cluster, weights):
    got = {"labels": [], "overlay": []}
    for name, messages in got.items():
        topic = f"partition_manager/{name}"
        cluster.node.create_subscription(Image, topic, messages.append, qos.LABELS)
        cluster.until(lambda topic=topic: cluster.node.count_publishers(topic), f"a publisher of {topic}")
    rgb = cv2.cvtColor(cv2.imread(str(photo("coffee.png"))), cv2.COLOR_BGR2RGB)

    def both() -> bool:  # the manager may know its readers a little later
        cluster.ask(rgb)
        return all(got.values())

    cluster.until(both, "labels and overlay")
    result = cluster.ask(rgb)
    stamp = result.header.stamp.sec
    cluster.until(lambda: all(m[-1].header.stamp.sec == stamp for m in got.values()), "those of the last image")
    labels, overlay = got["labels"][-1], got["overlay"][-1]
    assert (labels.encoding, labels.height, labels.width) == ("mono8", 400, 600)
    assert labels.header.frame_id == overlay.header.frame_id == "test" and not result.classes and not result.tensors

    scores = Reference(MODEL, weights, HEIGHT, WIDTH).answer(resize_to(rgb, HEIGHT, WIDTH))[0]
    classes = scores.argmax(0).numpy().astype(np.uint8)
    best = scores.topk(2, 0).values
    is_sure = ((best[0] - best[1]) > 1e-4 * scores.abs().max()).numpy()
    assert is_sure.mean() > 0.99 and len(np.unique(classes)) > 3
    found = np.frombuffer(labels.data, np.uint8).reshape(400, 600)
    # the pixel nearest to the middle of each pixel of the model
    rows, columns = ((np.arange(n) + 0.5) * size // n for n, size in ((HEIGHT, 400), (WIDTH, 600)))
    middle = found[rows.astype(int)[:, None], columns.astype(int)]
    assert (middle == classes)[is_sure].all()
    assert (decode_image(overlay) == draw_overlay(rgb, found, 0.5)).all()
