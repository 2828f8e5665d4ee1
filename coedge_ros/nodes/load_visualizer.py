"""Load visualizer node: workers as rviz markers and diagnostics, answers as annotated images, both as files at will."""

import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from coedge_ros.drawing.annotated_frame import draw_annotated_frame
from coedge_ros.drawing.saving import FORMATS, PictureSaver, save_picture
from coedge_ros.errors import UserError
from coedge_ros.msg import FrameName, InferenceResult, ManagerStatus, PartitionPlan, WorkerStatus
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.composition import cluster_of
from coedge_ros.nodes.diagnostics import diagnostic_array
from coedge_ros.nodes.frame_matcher import FrameMatcher, MatchedFrame
from coedge_ros.nodes.image_codec import encode_image
from coedge_ros.nodes.image_input import INPUT_PARAMETERS, AnyImage, decode, kind_of, topics_to_read
from coedge_ros.nodes.load_board import LoadBoard, answer_view, stage_boundaries
from coedge_ros.nodes.marker_layout import MarkerLayout
from coedge_ros.nodes.markers import load_markers
from coedge_ros.nodes.parameters import Parameter, declare_parameters
from coedge_ros.nodes.qos_overrides import PUBLISHER, SUBSCRIPTION, overridden
from coedge_ros.nodes.run import run_node

DIAGNOSTICS_PERIOD_S = 1.0  # what diagnostic tools expect
MOST_CAMERAS = 64

PARAMETERS = (
    Parameter("cluster", "", "Cluster file: places, links; empty for the one that is shipped.", read_only=True),
    Parameter("frame_id", "coedge", "Frame of the markers; the fixed frame in rviz.", read_only=True),
    Parameter("marker_rate_hz", 5.0, "How often markers are published.", "Hz", 0.1, 60.0, read_only=True),
    Parameter("stale_after_s", 2.0, "A worker not heard for this long turns grey and fades.", "s", 0.1, read_only=True),
    Parameter("forget_after_s", 10.0, "A worker not heard for this long goes away.", "s", 0.1, read_only=True),
    *INPUT_PARAMETERS,
    Parameter("keep_images", 16, "Images of a camera that wait for results.", "images", 1, 1000, read_only=True),
    Parameter("annotate_rate_hz", 10.0, "Draw at most so many annotated images of a camera.", "Hz", 0.1, 1000.0),
    Parameter("tint", 0.22, "Opacity of the bands' colours.", minimum=0.0, maximum=1.0),
    Parameter("output_dir", "", "Folder for annotated images and, at the end, plots; empty for none.", read_only=True),
    Parameter("save_every", 25, "Of a video, save every so-manieth frame.", "frames", 1, read_only=True),
    Parameter("save_limit", 100, "Save at most so many annotated images.", "images", 0, read_only=True),
    Parameter("save_format", "jpg", "File format of saved annotated images.", choices=FORMATS, read_only=True),
)


class LoadVisualizer(Node):
    """Shows the cluster. Nothing depends on it: its trouble is logged and never stops it.

    Raises
    ------
    UserError
        If a parameter or the cluster file does not fit, or the output folder cannot be made.
    """

    def __init__(self, **node_options):
        super().__init__("load_visualizer", **node_options)
        self.done = Future()  # runs until it is stopped
        values = self._values = declare_parameters(self, PARAMETERS)
        cluster = cluster_of(values["cluster"])
        self._layout = MarkerLayout(values["frame_id"], cluster)
        self._board = LoadBoard(values["stale_after_s"], values["forget_after_s"], cluster)
        cameras = topics_to_read(values, self.resolve_topic_name)
        self._matcher = FrameMatcher(values["keep_images"] * len(cameras))
        self._saver = None
        if values["output_dir"]:
            folder = Path(values["output_dir"]).expanduser()
            self._saver = PictureSaver(folder, values["save_every"], values["save_limit"], values["save_format"])
        self._is_answering = False
        self._at_work: MarkerArray | None = None  # the markers when a frame was last answered
        self._next_drawing_s: dict[str, float] = {}  # by frame_id
        self._said: set[str] = set()

        self._markers = self._publisher(MarkerArray, topics.LOAD_MARKERS, qos.MARKERS, is_rim=True)
        self._annotated = self._publisher(Image, topics.ANNOTATED_IMAGE, qos.ANNOTATED_IMAGE, is_rim=True)
        self._diagnostics = self._publisher(DiagnosticArray, topics.DIAGNOSTICS, qos.DIAGNOSTICS)
        self._subscribe(WorkerStatus, topics.WORKER_STATUS, self._on_status, qos.STATUS)
        self._subscribe(ManagerStatus, topics.MANAGER_STATUS, self._on_manager, qos.MANAGER_STATUS)
        self._subscribe(PartitionPlan, topics.PARTITION_PLAN, self._on_plan, qos.PLAN)
        self._subscribe(FrameName, topics.FRAME_NAME, self._on_name, qos.FRAME_NAME)
        for topic in cameras:
            profile = overridden(self, SUBSCRIPTION, topic, qos.camera_input(values["image_reliable"]))
            self._subscribe(kind_of(topic), topic, self._on_image, profile)
        self._subscribe(InferenceResult, topics.RESULT, self._on_result, qos.RESULT)
        pace = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated clock that stands still must not stop it
        self.create_timer(1.0 / values["marker_rate_hz"], self._publish_markers, clock=pace)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=pace)

    def close(self) -> None:
        """Save the pictures of the whole run."""
        if self._saver is None:
            return
        # Here and not above: matplotlib's figures take half a second to import, and most runs end without them.
        from coedge_ros.drawing.load_over_time import draw_load_over_time
        from coedge_ros.drawing.row_share import draw_row_share
        from coedge_ros.nodes.marker_picture import draw_markers

        board, folder = self._board, self._saver.folder
        pictures = {"load_over_time.png": draw_load_over_time(board.history, board.colors)}
        plan = board.newest_plan()
        if plan is not None:
            pictures["row_share.png"] = draw_row_share(
                tuple(plan.workers), stage_boundaries(plan), board.history.work_shares(), board.colors
            )
        if self._at_work is not None:
            pictures["load_markers.png"] = draw_markers(self._at_work.markers, self._values["frame_id"])
        for name, picture in pictures.items():
            self._save(folder / name, picture.rgb)

    def _on_status(self, status: WorkerStatus) -> None:
        self._board.take_status(status, time.monotonic())

    def _on_manager(self, status: ManagerStatus) -> None:
        self._board.take_manager(status, time.monotonic())

    def _on_plan(self, plan: PartitionPlan) -> None:
        self._board.take_plan(plan, time.monotonic())

    def _has_names(self) -> bool:
        """Whether a camera names its frames; the first name may come after the first answer."""
        return self._matcher.has_names or self.count_publishers(topics.FRAME_NAME) > 0

    def _on_name(self, name: FrameName) -> None:
        self._annotate(self._matcher.take_name(name))

    def _on_image(self, image: AnyImage) -> None:
        self._annotate(self._matcher.take_image(image))

    def _on_result(self, result: InferenceResult) -> None:
        self._board.take_result(result)
        self._is_answering = True
        self._annotate(self._matcher.take_result(result))

    def _annotate(self, frame: MatchedFrame | None) -> None:
        if frame is None:
            return
        is_final = bool(frame.name) or not self._has_names()  # else it comes again when its name is there
        path = self._saver.path_for(frame.name) if self._saver and is_final else None
        camera = frame.image.header.frame_id
        wanted = self._annotated.get_subscription_count() > 0 and self._is_due(camera)
        if path is None and not wanted:
            return
        try:
            rgb = decode(frame.image)
        except UserError as error:
            self._say_once(f"an answered image cannot be drawn: {error}")
            return
        now = time.monotonic()
        workers = self._board.frame_workers(frame.result, now)
        drawn = draw_annotated_frame(rgb, workers, answer_view(frame.result, frame.name), self._values["tint"]).rgb
        if wanted:
            self._next_drawing_s[camera] = now + 1.0 / self._values["annotate_rate_hz"]
            self._annotated.publish(encode_image(drawn, frame.image.header))
        if path is not None:
            self._save(path, drawn)

    def _is_due(self, camera: str) -> bool:
        """Whether a picture of a camera may be drawn again: each has the rate for itself."""
        if len(self._next_drawing_s) > MOST_CAMERAS:  # names come from the network
            self._next_drawing_s.clear()
        return time.monotonic() >= self._next_drawing_s.get(camera, 0.0)

    def _publish_markers(self) -> None:
        now = time.monotonic()
        removed = self._board.forget(now)
        is_kept, self._is_answering = self._is_answering and self._saver is not None, False
        is_published = removed or self._markers.get_subscription_count()
        if not (is_kept or is_published):
            return
        stamp = self.get_clock().now().to_msg()
        array = load_markers(self._board.bars(now), removed, self._layout, stamp, self._board.manager_box(now))
        if is_kept:
            self._at_work = array
        if is_published and array.markers:
            self._markers.publish(array)

    def _publish_diagnostics(self) -> None:
        lines = self._board.diagnostics(time.monotonic())
        if lines:
            stamp = self.get_clock().now().to_msg()
            self._diagnostics.publish(diagnostic_array(lines, stamp, self.get_namespace()))

    def _save(self, path: Path, rgb) -> None:
        try:
            save_picture(path, rgb)
        except UserError as error:
            self._say_once(str(error))

    def _say_once(self, text: str) -> None:
        if text not in self._said and len(self._said) < 100:
            self._said.add(text)
            self.get_logger().warning(text)

    def _publisher(self, kind, topic, profile, is_rim: bool = False):
        profile = overridden(self, PUBLISHER, topic, profile) if is_rim else profile
        return self.create_publisher(kind, topic, profile, event_callbacks=qos.publisher_events(self, topic))

    def _subscribe(self, kind, topic, callback, profile) -> None:
        events = qos.subscription_events(self, topic)
        self.create_subscription(kind, topic, callback, profile, event_callbacks=events)


def main(args: list[str] | None = None) -> int:
    """Run the load visualizer node and return its exit code: 0 when stopped, 2 for the user's mistake."""
    return run_node(LoadVisualizer, args)
