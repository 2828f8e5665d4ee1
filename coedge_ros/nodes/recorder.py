"""The node of `coedge record`: takes messages as the bytes that they travel as, and writes them to a bag."""

from __future__ import annotations

import time
from collections.abc import Iterable

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from coedge_ros.msg import FrameName, InferenceResult, LinkReport, ManagerStatus, PartitionPlan, WorkerStatus
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.bag_writer import BagWriter
from coedge_ros.nodes.image_input import kind_of

# What a cluster says, without fragments: they are most of the bytes, and of no use without the processes.
SMALL = (
    (PartitionPlan, topics.PARTITION_PLAN, qos.PLAN),
    (ManagerStatus, topics.MANAGER_STATUS, qos.MANAGER_STATUS),
    (WorkerStatus, topics.WORKER_STATUS, qos.STATUS),
    (InferenceResult, topics.RESULT, qos.RESULT),
    (FrameName, topics.FRAME_NAME, qos.FRAME_NAME),
    (LinkReport, topics.LINK_REPORTS, qos.LINK_REPORTS),
    (MarkerArray, topics.LOAD_MARKERS, qos.MARKERS),
    (DiagnosticArray, topics.DIAGNOSTICS, qos.DIAGNOSTICS),
)
ANNOTATED = ((Image, topics.ANNOTATED_IMAGE, qos.ANNOTATED_IMAGE),)


class Recorder(Node):
    """Writes what it hears, with the time at which it came.

    Parameters
    ----------
    writer : BagWriter
        Owned by the caller.
    cameras : iterable of str
        Topics of camera images, raw or compressed, see `camera_topics`; with any, annotated images are recorded too.
    """

    def __init__(self, namespace: str, context: rclpy.Context, writer: BagWriter, cameras: Iterable[str] = ()):
        super().__init__("coedge_record", namespace=namespace, context=context, start_parameter_services=False)
        self._writer = writer
        images = tuple((kind_of(topic), topic, qos.CAMERA_INPUT_RELIABLE) for topic in cameras)
        for kind, topic, profile in SMALL + images + (ANNOTATED if images else ()):
            self._record(kind, topic, profile)

    def _record(self, kind: type, topic: str, profile: QoSProfile) -> None:
        name = self.resolve_topic_name(topic)

        def take(data: bytes, info) -> None:
            received_ns = time.time_ns()
            if name not in self._writer.topics:
                # With the first message, because only now it is known what its publishers offer.
                offered = [found.qos_profile for found in self.get_publishers_info_by_topic(name)]
                self._writer.add_topic(name, kind, offered or [profile])
            self._writer.write(name, data, received_ns, info["source_timestamp"] or received_ns)

        events = qos.subscription_events(self, topic)
        self.create_subscription(kind, topic, take, profile, event_callbacks=events, raw=True)
