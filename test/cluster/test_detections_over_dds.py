"""A face is found on a real picture by workers that have rows of it each, and is drawn where it is."""

import cv2
import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image
from support.cluster import FIXED_SHARES, MANAGER, WORKERS, Cluster

from coedge_ros.drawing import palette
from coedge_ros.graph.detection import overlaps
from coedge_ros.graph.example_data import photo
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.trace import PixelInput
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.composition import ClusterOptions
from coedge_ros.nodes.image_codec import decode_image, resize_to

pytestmark = pytest.mark.timeout(180)
FACE = np.array([178, 65, 268, 178])  # left, top, right, bottom, read off the picture of 512 x 512 pixels


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    # three workers with fixed shares; the load visualizer draws what they find
    options = ClusterOptions(model="mtcnn_pnet", weights="faces", source="", manager=MANAGER)
    with Cluster(tmp_path_factory.mktemp("faces"), options, FIXED_SHARES) as cluster:
        cluster.wait_until_active()
        yield cluster


def picture(name: str) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(photo(name))), cv2.COLOR_BGR2RGB)


def boxes_of(detections) -> np.ndarray:
    return np.array([[d.x, d.y, d.x + d.width, d.y + d.height] for d in detections]).reshape(-1, 4)


def test_the_face_is_found_where_it_is_and_where_the_whole_model_finds_it(cluster):
    rgb = picture("astronaut.png")
    result = cluster.ask(rgb)
    assert sorted(u.name for u in result.workers if u.macs) == sorted(WORKERS) and not result.fallback
    (found,) = result.detections
    assert found.label == "face" and 0.9 <= found.score <= 1 and not result.classes
    assert overlaps(FACE, boxes_of([found]))[0] >= 0.5

    loaded = load_model("mtcnn_pnet", weights="faces")
    size = loaded.input_size
    pixels = torch.from_numpy(resize_to(rgb, *size)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        whole = PixelInput(loaded.module, loaded.mean, loaded.std).eval()(pixels)
    expected = [d.scaled(512 / size[1], 512 / size[0]) for d in loaded.decoder(whole, size, 0.9)]
    assert np.abs(boxes_of([found]) - boxes_of(expected)).max() <= 0.01
    assert found.score == pytest.approx(expected[0].score, abs=1e-4)


def test_boxes_are_in_pixels_of_the_cameras_image_whatever_its_size(cluster):
    large = cv2.resize(picture("astronaut.png"), (1280, 960), interpolation=cv2.INTER_AREA)
    (found,) = cluster.ask(large).detections
    assert overlaps(FACE * np.tile([1280 / 512, 960 / 512], 2), boxes_of([found]))[0] >= 0.5


def test_a_picture_without_a_face_has_none(cluster):
    for name in ("chelsea.png", "coffee.png", "rocket.jpg"):
        assert not cluster.ask(picture(name)).detections


def test_the_annotated_picture_has_the_box(cluster):
    drawn = []
    cluster.node.create_subscription(Image, topics.ANNOTATED_IMAGE, drawn.append, qos.ANNOTATED_IMAGE)
    cluster.until(lambda: cluster.node.count_publishers(topics.ANNOTATED_IMAGE), "the visualizer's publisher")

    def is_drawn() -> bool:
        cluster.ask(picture("astronaut.png"))
        return bool(drawn)

    cluster.until(is_drawn, "an annotated picture")
    rgb = decode_image(drawn[-1])
    yellow = np.argwhere((rgb[:, :512] == palette.BOX).all(2))
    assert overlaps(FACE, np.array([[*yellow.min(0)[::-1], *yellow.max(0)[::-1]]], float))[0] >= 0.5
