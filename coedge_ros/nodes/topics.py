"""Names of all topics: relative, so that a namespace (`coedge` by default) or a remapping moves them.

`~` stands for the node's own name.
"""

import re

from coedge_ros.errors import UserError

DEFAULT_NAMESPACE = "coedge"
MANAGER = "manager"  # the partition manager's name among the participants
_LONGEST = 64  # characters of a name

IMAGE = "image"  # sensor_msgs/Image: what the camera saw
COMPRESSED_SUFFIX = "compressed"  # sensor_msgs/CompressedImage: the same as JPEG or PNG, below the camera's topic
FRAME_NAME = "frame_name"  # FrameName: which picture a stamp belongs to
PARTITION_PLAN = "partition_plan"  # PartitionPlan: manager to all workers
WORKER_STATUS = "worker_status"  # WorkerStatus: all workers publish here
MANAGER_STATUS = "manager_status"  # ManagerStatus: what the cluster does, frames counted
RESULT = "result"  # InferenceResult: the answers
FRAGMENTS = "fragments"  # Fragment: one topic per receiver below this one
FRAGMENT_REQUESTS = "fragment_requests"  # FragmentRequest: "send me these chunks again"
LINK_PROBES = "link_probes"  # LinkProbe: one topic per receiver below this one
LINK_REPORTS = "link_reports"  # LinkReport: what links between hosts carry
CLASSIFICATION = "~/classification"  # vision_msgs/Classification: the answers, where vision_msgs is installed
DETECTIONS = "~/detections"  # vision_msgs/Detection2DArray: the same of a detector
LABELS = "~/labels"  # sensor_msgs/Image: the class of each pixel of the camera's image, mono8
OVERLAY = "~/overlay"  # sensor_msgs/Image: the camera's picture under the colours of its classes
LOAD_MARKERS = "load_markers"  # visualization_msgs/MarkerArray: workers, manager and links, for rviz
ANNOTATED_IMAGE = "annotated_image"  # sensor_msgs/Image: the frame, its bands and the answer
DIAGNOSTICS = "/diagnostics"  # absolute: the one topic that all ROS diagnostic tools listen to

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def fragments_topic(receiver: str) -> str:
    """Topic of the fragments for one receiver: a worker's name, or `manager`.

    Raises
    ------
    UserError
        If the name cannot be part of a ROS topic.
    """
    if len(receiver) > _LONGEST or not _NAME.fullmatch(receiver):
        raise UserError(
            f"{receiver[:_LONGEST]!r} cannot be a worker's name, because it is part of a topic and of a node name: "
            f"use up to {_LONGEST} letters, digits and _, beginning with a letter"
        )
    return f"{FRAGMENTS}/{receiver}"


def link_probes_topic(receiver: str) -> str:
    """Topic of the link probes for one receiver, as `fragments_topic`."""
    return fragments_topic(receiver).replace(FRAGMENTS, LINK_PROBES, 1)


def check_worker_name(name: str) -> None:
    """Refuse what cannot be a worker's name.

    Raises
    ------
    UserError
        If it cannot be part of a ROS topic, or is the manager's.
    """
    fragments_topic(name)
    if name == MANAGER:
        raise UserError(f"a worker cannot be called {MANAGER!r}, the partition manager's name: choose another")
