"""The load visualizer node, fed by workers, a manager and a camera that this test plays."""

import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from coedge_ros.errors import UserError
from coedge_ros.msg import (
    ClassScore,
    FrameName,
    InferenceResult,
    ManagerStatus,
    PartitionPlan,
    WorkerStatus,
    WorkerUsage,
)
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.compressed_images import encode_compressed
from coedge_ros.nodes.image_codec import decode_image, encode_image
from coedge_ros.nodes.load_visualizer import PARAMETERS, LoadVisualizer

CONFIG = Path(__file__).parents[2] / "config"
NAMES = ("worker_a", "worker_b")
pytestmark = pytest.mark.timeout(90)


class Cluster:
    """Plays everybody whom the visualizer listens to, and listens to it."""

    def __init__(self, ros):
        self.ros = ros
        node = self.node = ros.node(Node, "cluster")
        self.status = node.create_publisher(WorkerStatus, topics.WORKER_STATUS, qos.STATUS)
        self.plan = node.create_publisher(PartitionPlan, topics.PARTITION_PLAN, qos.PLAN)
        self.images = node.create_publisher(Image, topics.IMAGE, qos.CAMERA_OUTPUT)
        self.names = node.create_publisher(FrameName, topics.FRAME_NAME, qos.FRAME_NAME)
        self.results = node.create_publisher(InferenceResult, topics.RESULT, qos.RESULT)
        self.markers, self.annotated, self.diagnostics = [], [], []
        node.create_subscription(MarkerArray, topics.LOAD_MARKERS, self.markers.append, qos.MARKERS)
        node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self.diagnostics.append, qos.DIAGNOSTICS)

    def watch_pictures(self):
        self.node.create_subscription(Image, topics.ANNOTATED_IMAGE, self.annotated.append, qos.ANNOTATED_IMAGE)

    def wait_for_visualizer(self):
        everything = (self.status, self.plan, self.images, self.names, self.results)
        self.ros.spin_until(lambda: all(publisher.get_subscription_count() for publisher in everything))

    def keep_alive(self, *names):
        """Send status of these workers ten times per second from now on."""

        def send():
            for name in names:
                self.status.publish(WorkerStatus(name=name, state=WorkerStatus.STATE_ACTIVE, load=0.5, rows=112))

        return self.node.create_timer(0.1, send)

    def publish_plan(self):
        plan = PartitionPlan(session=1, epoch=1, workers=list(NAMES), boundaries=[0, 56, 112], height=224, width=224)
        self.plan.publish(plan)

    def answer_frame(self, name, number, image=None):
        header = Header(stamp=self.node.get_clock().now().to_msg(), frame_id="camera")
        self.names.publish(FrameName(header=header, name=name))
        image = image or encode_image(np.full((300, 400, 3), 90, np.uint8), header)
        image.header = header
        self.images.publish(image)
        usages = [
            WorkerUsage(name=worker, row_start=[56 * i], row_stop=[56 * (i + 1)], macs=100 * (i + 1), energy_j=0.5)
            for i, worker in enumerate(NAMES)
        ]
        classes = [ClassScore(id=285, label="Egyptian cat", probability=0.73)]
        self.results.publish(
            InferenceResult(
                header=header, session=1, epoch=1, frame=number, workers=usages, classes=classes, head=NAMES[1]
            )
        )
        return header


def overrides(**values):
    return [Parameter(name, value=value) for name, value in values.items()]


def test_every_worker_has_markers_and_goes_grey_fades_and_goes_when_it_falls_silent(ros):
    cluster = Cluster(ros)
    ros.node(
        LoadVisualizer,
        parameter_overrides=overrides(stale_after_s=0.5, forget_after_s=1.5, marker_rate_hz=20.0),
    )
    cluster.wait_for_visualizer()
    alive = [cluster.keep_alive(name) for name in NAMES]

    def newest():
        return {(marker.ns, marker.id): marker for marker in cluster.markers[-1].markers} if cluster.markers else {}

    def text(index):
        return newest()["label", index].text if ("label", index) in newest() else ""

    ros.spin_until(lambda: all(name in text(index) for index, name in enumerate(NAMES)))
    assert newest()["bar", 0].scale.z == pytest.approx(0.5) and newest()["bar", 0].header.frame_id == "coedge"
    cluster.node.destroy_timer(alive[0])
    ros.spin_until(lambda: "lost" in text(0))
    assert "lost" not in text(1)
    ros.spin_until(lambda: ("bar", 0) in newest() and 0.1 < newest()["bar", 0].color.a < 0.8)
    assert newest()["bar", 1].color.a == 1.0
    ros.spin_until(lambda: any(m.action == Marker.DELETE and m.id == 0 for m in cluster.markers[-1].markers))
    ros.spin_until(lambda: ("bar", 1) in newest() and ("bar", 0) not in newest())


def test_markers_stand_where_the_cluster_file_says_and_lines_show_what_flows(ros, tmp_path):
    path = tmp_path / "robots.yaml"
    path.write_text("""
hosts: [{name: left, position: [1, 3]}, {name: right, frame: robot/base_link}, {name: box, position: [0, 0]}]
workers: [{name: worker_a, host: left}, {name: worker_b, host: right}]
links: {default: {bytes_per_s: 1e6}}
manager: {host: box}
""")
    cluster = Cluster(ros)
    ros.node(LoadVisualizer, parameter_overrides=overrides(cluster=str(path), marker_rate_hz=20.0))
    cluster.wait_for_visualizer()
    manager = cluster.node.create_publisher(ManagerStatus, topics.MANAGER_STATUS, qos.MANAGER_STATUS)
    began_s = time.monotonic()

    def send():
        flowed = round(5e5 * (time.monotonic() - began_s))  # half of what the link carries
        for name in NAMES:
            cluster.status.publish(
                WorkerStatus(name=name, state=WorkerStatus.STATE_ACTIVE, load=0.5, instance=1, bytes_in=flowed)
            )
        manager.publish(ManagerStatus(state=ManagerStatus.STATE_ACTIVE, epoch=2))

    cluster.node.create_timer(0.1, send)

    def newest():
        found = {(m.ns, m.id): m for m in cluster.markers[-1].markers} if cluster.markers else {}
        return {key: marker for key, marker in found.items() if marker.action == Marker.ADD}

    ros.spin_until(lambda: ("link", 0) in newest() and ("manager", 0) in newest() and ("bar", 1) in newest())
    found = newest()
    assert (found["bar", 0].pose.position.x, found["bar", 0].pose.position.y) == (1.0, 3.0)
    assert [found["bar", index].header.frame_id for index in (0, 1)] == ["coedge", "robot/base_link"]
    assert found["manager_label", 0].text == "manager\nactive, plan 2"
    assert 0.06 < found["link", 0].scale.x < 0.16  # half would be 0.11
    assert ("link", 1) not in found and "link " in found["label", 1].text  # in another frame than the manager


def test_a_cluster_file_that_is_not_there_is_refused(ros):
    with pytest.raises(UserError, match="/no/such/file"):
        LoadVisualizer(context=ros.context, parameter_overrides=overrides(cluster="/no/such/file"))


def test_diagnostics_have_a_line_per_worker(ros):
    cluster = Cluster(ros)
    ros.node(LoadVisualizer)
    cluster.wait_for_visualizer()
    cluster.keep_alive(*NAMES)
    ros.spin_until(lambda: cluster.diagnostics and len(cluster.diagnostics[-1].status) == 2)
    lines = cluster.diagnostics[-1].status
    assert [line.name for line in lines] == [f"coedge: worker {name} (/)" for name in NAMES]  # in no namespace
    assert all(line.level == DiagnosticStatus.OK for line in lines)


def test_the_annotated_image_keeps_the_header_and_shows_the_bands(ros):
    cluster = Cluster(ros)
    ros.node(LoadVisualizer, parameter_overrides=overrides(image_reliable=True, tint=0.5))
    cluster.wait_for_visualizer()
    cluster.watch_pictures()
    ros.spin_until(lambda: cluster.node.count_publishers(topics.ANNOTATED_IMAGE) == 1)
    cluster.keep_alive(*NAMES)
    cluster.publish_plan()
    headers = []

    def answered():
        if len(headers) < 50:
            headers.append(cluster.answer_frame("chelsea.png", len(headers)))
        return cluster.annotated

    ros.spin_until(answered)
    drawn = cluster.annotated[0]
    assert drawn.header in headers and drawn.header.frame_id == "camera"
    rgb = decode_image(drawn).astype(int)
    assert rgb.shape[1] > 400  # the panel stands beside the picture
    top, bottom = rgb[60, 200], rgb[-60, 200]
    assert top[2] > top[0] and bottom[0] > bottom[2]  # blue above, orange below


def test_answers_of_compressed_images_are_drawn_of_each_camera_in_its_own_time(ros):
    cluster = Cluster(ros)
    cameras = overrides(image_topics=["front", "rear/compressed"], image_reliable=True, annotate_rate_hz=0.1)
    ros.node(LoadVisualizer, parameter_overrides=cameras)
    cluster.images = cluster.node.create_publisher(Image, "front", qos.CAMERA_OUTPUT)
    rear = cluster.node.create_publisher(CompressedImage, "rear/compressed", qos.CAMERA_OUTPUT)
    cluster.wait_for_visualizer()
    cluster.watch_pictures()
    ros.spin_until(lambda: rear.get_subscription_count() and cluster.node.count_publishers(topics.ANNOTATED_IMAGE))
    rgb, sent = np.full((300, 400, 3), 90, np.uint8), []

    def is_drawn(camera: str) -> bool:
        if len(sent) < 100:  # the first may come before the visualizer knows that somebody wants pictures
            header = Header(stamp=cluster.node.get_clock().now().to_msg(), frame_id=camera)
            if camera == "front":
                cluster.images.publish(encode_image(rgb, header))
            else:
                rear.publish(encode_compressed(rgb, header, "jpeg"))
            cluster.results.publish(InferenceResult(header=header, session=1, epoch=1, frame=len(sent)))
            sent.append(camera)
        return camera in {image.header.frame_id for image in cluster.annotated}

    ros.spin_until(lambda: is_drawn("front"))
    sent.clear()
    ros.spin_until(lambda: is_drawn("rear"), 9.0)  # the next of the same camera would come after 10 s
    assert len(cluster.annotated) == 2


def test_pictures_are_drawn_only_when_somebody_wants_them(ros, monkeypatch):
    drawn = []
    monkeypatch.setattr("coedge_ros.nodes.load_visualizer.draw_annotated_frame", lambda *given: drawn.append(given))
    cluster = Cluster(ros)
    visualizer = ros.node(LoadVisualizer, parameter_overrides=overrides(image_reliable=True))
    cluster.wait_for_visualizer()
    cluster.answer_frame("chelsea.png", 0)
    ros.spin_until(lambda: visualizer._board.history.frames.get("worker_a") == 1)
    assert drawn == []


def test_an_image_that_cannot_be_decoded_is_said_once_and_stops_nothing(ros):
    cluster = Cluster(ros)
    visualizer = ros.node(LoadVisualizer, parameter_overrides=overrides(image_reliable=True))
    said = []
    visualizer.get_logger = lambda: type("Log", (), {"warning": said.append, "error": said.append})
    cluster.wait_for_visualizer()
    cluster.watch_pictures()
    ros.spin_until(lambda: visualizer._annotated.get_subscription_count() == 1)
    for number in range(3):
        cluster.answer_frame("bad.png", number, Image(height=2, width=2, step=6, encoding="rgb8"))
    ros.spin_until(lambda: said)
    for number in range(3):
        cluster.answer_frame("good.png", number)
    ros.spin_until(lambda: cluster.annotated)
    assert len(said) == 1 and "empty image" in said[0]


def test_it_saves_pictures_as_they_come_and_plots_when_it_is_stopped(ros, tmp_path):
    cluster = Cluster(ros)
    words = ["-p", f"output_dir:={tmp_path / 'out'}", "-p", "save_every:=3", "-p", "image_reliable:=true"]
    process = ros.start("coedge_ros.nodes.load_visualizer", *words)
    cluster.wait_for_visualizer()
    cluster.keep_alive(*NAMES)
    cluster.publish_plan()
    for number, name in enumerate(["chelsea.png", "coffee.png", "chelsea.png", *(f"bikes.mp4#{n}" for n in range(5))]):
        cluster.answer_frame(name, number)
    wanted = {"chelsea.jpg", "coffee.jpg", "bikes_00000.jpg", "bikes_00003.jpg"}
    ros.spin_until(lambda: {path.name for path in (tmp_path / "out").glob("*")} >= wanted)
    ros.spin_until(lambda: cluster.diagnostics)
    process.send_signal(signal.SIGINT)
    ros.spin_until(lambda: process.poll() is not None)
    output = process.stdout.read()
    assert process.returncode == 0 and "Traceback" not in output, output
    saved = {path.name: cv2.imread(str(path)) for path in (tmp_path / "out").glob("*")}
    assert set(saved) == wanted | {"load_over_time.png", "row_share.png", "load_markers.png"}
    assert all(picture is not None and picture.std() > 5 for picture in saved.values())


def test_stopped_before_anything_happened_it_still_ends_well(ros, tmp_path):
    cluster = Cluster(ros)
    process = ros.start("coedge_ros.nodes.load_visualizer", "-p", f"output_dir:={tmp_path}")
    cluster.wait_for_visualizer()
    process.send_signal(signal.SIGINT)
    ros.spin_until(lambda: process.poll() is not None)
    assert process.returncode == 0, process.stdout.read()
    assert [path.name for path in tmp_path.glob("*")] == ["load_over_time.png"]


def test_an_output_folder_that_cannot_be_made_is_refused(ros, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="parameter output_dir"):
        LoadVisualizer(context=ros.context, parameter_overrides=overrides(output_dir=str(tmp_path / "file" / "x")))


def test_the_parameter_file_holds_exactly_the_declared_parameters_and_their_defaults():
    (entry,) = yaml.safe_load((CONFIG / "load_visualizer.param.yaml").read_text()).values()
    in_file = {k: tuple(filter(None, v)) if isinstance(v, list) else v for k, v in entry["ros__parameters"].items()}
    assert in_file == {parameter.name: parameter.default for parameter in PARAMETERS}
