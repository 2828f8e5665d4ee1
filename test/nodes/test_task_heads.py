"""What outputs mean, and messages of the types that other packages take."""

import importlib.util
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from torch import nn

from coedge_ros.drawing.overlay import class_colors, draw_overlay
from coedge_ros.errors import UserError
from coedge_ros.graph.detection import Detection
from coedge_ros.graph.loading import load_model
from coedge_ros.msg import ClassScore, InferenceResult
from coedge_ros.msg import Detection as DetectionMessage
from coedge_ros.nodes import qos
from coedge_ros.nodes.frames import Frame
from coedge_ros.nodes.results import ResultMaker
from coedge_ros.nodes.stack_answers import StackAnswers, enlarged, to_classification, to_detections
from coedge_ros.nodes.task_heads import TASK_PARAMETERS, TaskHeads

VALUES = {p.name: p.default for p in TASK_PARAMETERS}
VECTOR, MAP = torch.tensor([[0.0, 2.0, 1.0]]), torch.zeros(1, 3, 4, 6)
MAP[0, 2, :2], MAP[0, 1, 2:] = 5.0, 5.0
CLASSES_OF_MAP = np.array([[2] * 6] * 2 + [[1] * 6] * 2, np.uint8)
HAS_VISION_MSGS = importlib.util.find_spec("vision_msgs") is not None
needs_vision_msgs = pytest.mark.skipif(not HAS_VISION_MSGS, reason="vision_msgs is not installed")


class Plain(nn.Module):
    def forward(self, x):
        return x


class Detector(Plain):
    """Says how it was called, as a box."""

    def decode_detections(self, outputs, size, threshold):
        if "broken" in outputs:
            raise KeyError("broken")
        score = float(outputs["score"])
        return [Detection("thing", score, 1.0, 2.0, size[1] / 2, size[0] / 2)] if score >= threshold else []


def heads(module=None, task="auto", say=lambda text: None, **values) -> TaskHeads:
    return TaskHeads(load_model(module or Plain()), {**VALUES, "task": task, **values}, say)


@pytest.mark.parametrize(
    ("task", "outputs", "expected"),
    [
        ("auto", {"output": VECTOR}, [1, 2, 0]),
        ("classification", {"output": VECTOR}, [1, 2, 0]),
        ("auto", {"map": MAP, "kind": VECTOR}, []),  # which of them is meant is not known
        ("classification", {"map": MAP, "kind": VECTOR}, [1, 2, 0]),
        ("classification", {"map": MAP}, []),
        ("segmentation", {"output": VECTOR}, []),
        ("raw", {"output": VECTOR}, []),
    ],
)
def test_there_are_classes_where_the_task_and_the_outputs_allow(task, outputs, expected):
    assert [i for i, _, _ in heads(task=task).classes(outputs)] == expected


LABELS = torch.from_numpy(CLASSES_OF_MAP).unsqueeze(0)


@pytest.mark.parametrize(
    ("outputs", "is_map"),
    [
        ({"output": MAP}, True),
        ({"aux": -MAP, "out": MAP}, True),  # as torchvision's
        ({"mask": LABELS, "kind": VECTOR}, True),
        ({"mask": LABELS.to(torch.int64).unsqueeze(1)}, True),
        ({"output": VECTOR}, False),
        ({"output": MAP[:, :1]}, False),  # one score is no choice
        ({"output": torch.zeros(1, 257, 2, 2)}, False),
        ({"output": MAP[0]}, False),
        ({"output": LABELS.float()}, False),
        ({}, False),
    ],
)
def test_a_map_of_classes_is_made_of_scores_or_whole_numbers(outputs, is_map):
    for task in ("auto", "segmentation"):
        labels = heads(task=task).label_map(outputs)
        assert (labels is not None) == is_map
        assert labels is None or (labels.dtype == np.uint8 and (labels == CLASSES_OF_MAP).all())
    for task in ("classification", "raw"):
        assert heads(task=task).label_map(outputs) is None


@pytest.mark.parametrize("wrong", [-1, 256])
def test_labels_that_do_not_fit_are_said_and_not_published(wrong):
    said = []
    labels = torch.full((1, 2, 2), wrong, dtype=torch.int64)
    assert heads(say=said.append).label_map({"mask": labels}) is None
    assert said == [f"labels {wrong} to {wrong} do not fit into mono8: none are published"]


def test_a_zoo_model_of_another_task_has_no_map_of_classes_unless_asked_for():
    pictures = {"output": MAP}
    auto = TaskHeads(load_model("espcn"), VALUES)
    assert auto.label_map(pictures) is None and auto.classes({"output": VECTOR})
    assert TaskHeads(load_model("espcn"), {**VALUES, "task": "segmentation"}).label_map(pictures) is not None


def test_detections_are_in_pixels_of_the_cameras_image():
    (found,) = heads(Detector()).detections({"score": torch.tensor(0.9375)}, (100, 200), (400, 1000))
    assert found == Detection("thing", 0.9375, 5.0, 8.0, 500.0, 200.0)
    assert heads(Detector(), detection_threshold=0.96).detections({"score": torch.tensor(0.95)}, (1, 1), (1, 1)) == []
    for task in ("raw", "classification"):
        assert heads(Detector(), task).detections({"score": torch.tensor(0.95)}, (1, 1), (1, 1)) == []


def test_numbers_of_numpy_and_torch_become_a_message():
    class Numpy(Plain):
        def decode_detections(self, outputs, size, threshold):
            return [Detection("thing", torch.tensor(0.5), np.float32(1), np.int64(2), np.float64(3), 4)]

    (found,) = heads(Numpy()).detections({}, (10, 10), (20, 30))
    assert DetectionMessage(**asdict(found)) == DetectionMessage(
        label="thing", score=0.5, x=3.0, y=4.0, width=9.0, height=8.0
    )


def test_a_decoder_that_fails_costs_no_result():
    said = []
    assert heads(Detector(), say=said.append).detections({"broken": VECTOR}, (1, 1), (1, 1)) == []
    (text,) = said
    assert text.endswith("Detector.decode_detections failed: KeyError: 'broken'")


def test_detections_of_a_model_without_decoder_are_refused_before_the_first_frame():
    with pytest.raises(UserError, match="parameter task is detection, but .*Plain has no method decode_detections"):
        heads(task="detection")


def test_a_result_has_the_detections_of_its_frame():
    values = {**VALUES, "model": "mine", "publish_tensors": False, "detection_threshold": 0.5}
    make = ResultMaker(load_model(Detector()), None, values, 7)
    frame = Frame(3, Header(frame_id="front"), np.zeros((10, 20, 3), np.uint8), 0.0, (40, 60))
    result = make(frame, {"score": torch.tensor(0.75)}, None, 1.0, "alone")
    (found,) = result.detections
    assert (found.label, found.score, found.x, found.y, found.width, found.height) == ("thing", 0.75, 3, 8, 30, 20)
    assert not result.classes and result.header.frame_id == "front"


def test_labels_are_enlarged_to_the_nearest_one():
    large = enlarged(CLASSES_OF_MAP, (8, 13))
    assert large.shape == (8, 13) and set(large.flat) == {1, 2}
    assert (large[:4] == 2).all() and (large[4:] == 1).all()
    odd = enlarged(np.array([[0, 9]], np.uint8), (1, 5))
    assert odd[0].tolist() in ([0, 0, 0, 9, 9], [0, 0, 9, 9, 9])


def test_class_colours_are_those_of_pascal_voc():
    colors = class_colors()
    assert colors[[0, 1, 2, 15, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [192, 128, 128], [0, 64, 128], [224, 224, 192],
    ]  # fmt: skip
    assert len(np.unique(colors, axis=0)) == 256
    picture = np.full((4, 6, 3), 100, np.uint8)
    assert draw_overlay(picture, CLASSES_OF_MAP, 0.5)[0, 0].tolist() == [50, 114, 50]
    assert (draw_overlay(picture, CLASSES_OF_MAP, 0.0) == picture).all()


RESULT = InferenceResult(
    header=Header(frame_id="front"),
    classes=[ClassScore(id=4, label="cat", probability=0.75), ClassScore(id=9, probability=0.25)],
    detections=[DetectionMessage(label="face", score=0.5, x=10.0, y=20.0, width=30.0, height=40.0)],
)


def test_labels_and_overlay_reach_a_reader_and_are_not_made_without_one(ros):
    node = ros.node(node_name="manager")
    answers = StackAnswers(node, node.resolve_topic_name, lambda text: None)
    frame = Frame(0, RESULT.header, np.zeros((8, 12, 3), np.uint8), 0.0, (8, 12), np.full((8, 12, 3), 100, np.uint8))
    calls = []
    fake_heads = SimpleNamespace(detects=False, label_map=lambda outputs: calls.append(1) or CLASSES_OF_MAP)
    answers.publish(frame, {}, RESULT, fake_heads, 0.5)
    assert not calls and not answers.wants_pictures

    reader, got = ros.node(node_name="reader"), {}
    for name in ("labels", "overlay"):
        reader.create_subscription(Image, f"manager/{name}", lambda m, name=name: got.update({name: m}), qos.LABELS)
    ros.spin_until(lambda: answers.wants_pictures and answers._labels.get_subscription_count())
    answers.publish(frame, {}, RESULT, fake_heads, 0.5)
    ros.spin_until(lambda: len(got) == 2)
    labels, overlay = got["labels"], got["overlay"]
    assert (labels.encoding, labels.height, labels.width, labels.step) == ("mono8", 8, 12, 12)
    assert (np.frombuffer(labels.data, np.uint8).reshape(8, 12) == enlarged(CLASSES_OF_MAP, (8, 12))).all()
    assert (overlay.encoding, overlay.height, overlay.width) == ("rgb8", 8, 12)
    assert list(overlay.data[:3]) == [50, 114, 50] and overlay.header.frame_id == labels.header.frame_id == "front"


@pytest.mark.skipif(HAS_VISION_MSGS, reason="vision_msgs is installed")
def test_a_missing_vision_msgs_is_said_once_and_nothing_else_is_missing(ros):
    said = []
    node = ros.node(node_name="manager")
    StackAnswers(node, node.resolve_topic_name, said.append)
    (text,) = said
    assert "the ROS package vision_msgs is not installed" in text
    assert node.count_publishers("/manager/labels") == node.count_publishers("/manager/overlay") == 1
    assert node.count_publishers("/manager/detections") == 0


@needs_vision_msgs
def test_vision_msgs_say_what_the_result_says():
    classification, detections = to_classification(RESULT), to_detections(RESULT)
    assert [(r.class_id, r.score) for r in classification.results] == [("cat", 0.75), ("9", 0.25)]
    (found,) = detections.detections
    assert (found.results[0].hypothesis.class_id, found.results[0].hypothesis.score) == ("face", 0.5)
    assert (found.bbox.center.position.x, found.bbox.center.position.y) == (25.0, 40.0)
    assert (found.bbox.size_x, found.bbox.size_y) == (30.0, 40.0)
    assert classification.header.frame_id == detections.header.frame_id == found.header.frame_id == "front"


@needs_vision_msgs
def test_vision_msgs_reach_a_reader(ros):
    from vision_msgs.msg import Classification, Detection2DArray

    node, reader, got = ros.node(node_name="manager"), ros.node(node_name="reader"), {}
    answers = StackAnswers(node, node.resolve_topic_name, lambda text: None)
    for name, kind in (("classification", Classification), ("detections", Detection2DArray)):
        reader.create_subscription(kind, f"manager/{name}", lambda m, name=name: got.update({name: m}), qos.VISION_MSGS)
    publishers = (answers._classification, answers._detections)
    ros.spin_until(lambda: all(publisher.get_subscription_count() for publisher in publishers))
    frame = Frame(0, RESULT.header, np.zeros((8, 12, 3), np.uint8), 0.0, (8, 12))
    answers.publish(frame, {}, RESULT, SimpleNamespace(detects=True), 0.5)
    ros.spin_until(lambda: len(got) == 2)
    assert got["detections"] == to_detections(RESULT) and got["classification"] == to_classification(RESULT)
