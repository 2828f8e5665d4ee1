"""Answers in the types that other packages take: vision_msgs, label images, pictures. Made only when asked for.

`InferenceResult` says everything that there is to say; these say what navigation, tracking and displays read already.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from coedge_ros.drawing.overlay import draw_overlay
from coedge_ros.msg import InferenceResult
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.frames import Frame
from coedge_ros.nodes.image_codec import encode_image, encode_labels
from coedge_ros.nodes.task_heads import Outputs, TaskHeads


class StackAnswers:
    """Publishers of a manager's answers, which cost nothing while nobody listens.

    Parameters
    ----------
    node : Node
        Makes the publishers.
    resolve : callable
        Makes absolute names, remapped.
    say : callable
        Takes a sentence for people, once: that vision_msgs is missing.
    """

    def __init__(self, node: Node, resolve: Callable[[str], str], say: Callable[[str], None]):
        self._labels = node.create_publisher(Image, resolve(topics.LABELS), qos.LABELS)
        self._overlay = node.create_publisher(Image, resolve(topics.OVERLAY), qos.OVERLAY)
        self._classification = self._detections = None
        try:
            types = importlib.import_module("vision_msgs.msg")
        except ImportError:
            say(f"no {topics.CLASSIFICATION} and {topics.DETECTIONS}: the ROS package vision_msgs is not installed")
            return
        self._classification = node.create_publisher(
            types.Classification, resolve(topics.CLASSIFICATION), qos.VISION_MSGS
        )
        self._detections = node.create_publisher(types.Detection2DArray, resolve(topics.DETECTIONS), qos.VISION_MSGS)

    @property
    def wants_pictures(self) -> bool:
        """Whether frames should keep the camera's picture."""
        return _is_read(self._overlay)

    def publish(
        self, frame: Frame, outputs: Outputs, result: InferenceResult, heads: TaskHeads, opacity: float
    ) -> None:
        """Publish what is listened to of one answer; nothing where the model gives no such thing."""
        if _is_read(self._classification) and len(result.classes):
            self._classification.publish(to_classification(result))
        if _is_read(self._detections) and heads.detects:  # also an empty array: nothing is there now
            self._detections.publish(to_detections(result))
        if not (_is_read(self._labels) or _is_read(self._overlay)):
            return
        labels = heads.label_map(outputs)
        if labels is None:
            return
        labels = enlarged(labels, frame.source_size)
        if _is_read(self._labels):
            self._labels.publish(encode_labels(labels, result.header))
        if _is_read(self._overlay) and frame.picture is not None:
            self._overlay.publish(encode_image(draw_overlay(frame.picture, labels, opacity), result.header))


def _is_read(publisher: Publisher | None) -> bool:
    return publisher is not None and publisher.get_subscription_count() > 0


def enlarged(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels (h, w) uint8 at another size (H, W): the nearest one, never a mean of two classes."""
    return cv2.resize(labels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)


def to_classification(result: InferenceResult):
    """`vision_msgs/Classification` of a result: `class_id` is the class's name, or its number where it has none."""
    from vision_msgs.msg import Classification, ObjectHypothesis

    message = Classification(header=result.header)
    message.results = [
        ObjectHypothesis(class_id=one.label or str(one.id), score=float(one.probability)) for one in result.classes
    ]
    return message


def to_detections(result: InferenceResult):
    """`vision_msgs/Detection2DArray` of a result: boxes by their centre, in pixels of the camera's image."""
    from vision_msgs.msg import Detection2DArray

    message = Detection2DArray(header=result.header)
    message.detections = [_detection(one, result.header) for one in result.detections]
    return message


def _detection(one, header: Header):
    from vision_msgs.msg import Detection2D, ObjectHypothesisWithPose

    message, hypothesis = Detection2D(header=header), ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = one.label, float(one.score)
    message.results = [hypothesis]
    message.bbox.center.position.x, message.bbox.center.position.y = one.x + one.width / 2, one.y + one.height / 2
    message.bbox.size_x, message.bbox.size_y = float(one.width), float(one.height)
    return message
