"""Names of all topics: relative, so that a namespace (`coedge` by default) or a remapping moves them."""

import re

from coedge_ros.errors import UserError

DEFAULT_NAMESPACE = "coedge"

IMAGE = "image"  # sensor_msgs/Image: what the camera saw
FRAME_NAME = "frame_name"  # FrameName: which picture a stamp belongs to
PARTITION_PLAN = "partition_plan"  # PartitionPlan: manager to all workers
WORKER_STATUS = "worker_status"  # WorkerStatus: all workers publish here
MANAGER_STATUS = "manager_status"  # ManagerStatus: what the cluster does, frames counted
RESULT = "result"  # InferenceResult: the answers
FRAGMENTS = "fragments"  # Fragment: one topic per receiver below this one
FRAGMENT_REQUESTS = "fragment_requests"  # FragmentRequest: "send me these chunks again"
LOAD_MARKERS = "load_markers"  # visualization_msgs/MarkerArray for rviz
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
    if not _NAME.fullmatch(receiver):
        raise UserError(
            f"{receiver!r} cannot be a worker's name, because it is part of a topic and of a node name: "
            "use letters, digits and _, beginning with a letter"
        )
    return f"{FRAGMENTS}/{receiver}"
