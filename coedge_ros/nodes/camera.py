"""Camera node: publishes pictures, a video or a webcam as images, with their names beside them."""

import time

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from coedge_ros.errors import UserError
from coedge_ros.msg import FrameName
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.camera_topics import compressed_topic
from coedge_ros.nodes.compressed_images import FORMATS, encode_compressed
from coedge_ros.nodes.image_codec import WRITABLE_ENCODINGS, encode_image, resize_to
from coedge_ros.nodes.parameters import Parameter, declare_parameters
from coedge_ros.nodes.qos_overrides import PUBLISHER, overridden
from coedge_ros.nodes.run import run_node
from coedge_ros.nodes.sources import open_source, play

POLL_S = 0.05  # how often it looks whether subscribers are there
ACKNOWLEDGE_LIMIT_S = 10.0  # how long the end waits for readers to have the last images

PARAMETERS = (
    Parameter(
        "source",
        "example",
        "What to publish: a folder of pictures, a picture, a video, the number of a webcam, example (three photos), "
        "example_video, or several of these with commas between them.",
        read_only=True,
    ),
    Parameter("rate_hz", 10.0, "Images per second; no frame of a video is left out.", "Hz", 0.01, 1000.0),
    Parameter("loop", False, "Begin again after the last image.", read_only=True),
    Parameter("max_frames", 0, "Stop after this many images; 0 for no limit.", "images", 0, read_only=True),
    Parameter("height", 0, "Resize to this height; 0 keeps it, or the proportions.", "pixels", 0, 8192, read_only=True),
    Parameter("width", 0, "Resize to this width; 0 keeps it, or the proportions.", "pixels", 0, 8192, read_only=True),
    Parameter("encoding", "rgb8", "Encoding of the published images.", choices=WRITABLE_ENCODINGS, read_only=True),
    Parameter(
        "compressed",
        "none",
        "Publish compressed images too, below the topic of the others, as image_transport names it.",
        choices=("none", *FORMATS),
        read_only=True,
    ),
    Parameter("jpeg_quality", 95, "Of compressed images that are JPEG.", "", 1, 100),
    Parameter("frame_id", "camera", "Frame in the header of the images.", read_only=True),
    Parameter(
        "wait_for_subscribers",
        0,
        "Publish nothing before so many readers are there.",
        minimum=0,
        read_only=True,
    ),
    Parameter("wait_timeout_s", 60.0, "Give up waiting for them after this time.", "s", 0.0, read_only=True),
    Parameter("start_delay_s", 0.0, "Wait this long more before the first image.", "s", 0.0, 3600.0, read_only=True),
)


class Camera(Node):
    """Publishes `image` and, just before each, `frame_name` with the same header; `done` completes after the last.

    With `compressed`, `image/compressed` too; then each of the two only while it has readers, as image_transport does.

    Raises
    ------
    UserError
        If a parameter does not fit or the source does not exist; later, from a callback, if the source gives nothing or
        nobody subscribes in time.
    """

    def __init__(self, **node_options):
        super().__init__("camera", **node_options)
        self.done = Future()
        self._values = declare_parameters(self, PARAMETERS)
        self._source = open_source(self._values["source"], self.get_logger().warning, self._resize)
        self._frames = play(self._source, self._values["loop"], self._values["max_frames"])
        self._names = self.create_publisher(FrameName, topics.FRAME_NAME, qos.FRAME_NAME)
        profile = overridden(self, PUBLISHER, topics.IMAGE, qos.CAMERA_OUTPUT)
        events = qos.publisher_events(self, topics.IMAGE)
        self._images = self.create_publisher(Image, topics.IMAGE, profile, event_callbacks=events)
        self._compressed = None
        if self._values["compressed"] != "none":
            # Below the remapped name, because that is what is remapped.
            topic = compressed_topic(self.resolve_topic_name(topics.IMAGE))
            events = qos.publisher_events(self, topic)
            self._compressed = self.create_publisher(CompressedImage, topic, qos.CAMERA_OUTPUT, event_callbacks=events)
        self._publishers = [p for p in (self._images, self._names, self._compressed) if p is not None]
        self._count = 0
        self._made = time.monotonic()
        self._ready_since: float | None = None
        self._first_published = 0.0
        self._pace = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated clock that stands still must not stop it
        self._timer = self.create_timer(POLL_S, self._wait, clock=self._pace)

    def close(self) -> None:
        """Let reliable readers have what was published, then free the source."""
        if self.context.ok() and self._count:
            limit = Duration(seconds=ACKNOWLEDGE_LIMIT_S)
            acknowledged = [publisher.wait_for_all_acked(limit) for publisher in self._publishers]
            if not all(acknowledged):
                self.get_logger().warning(f"a reader has not acknowledged all images within {ACKNOWLEDGE_LIMIT_S} s")
            seconds = time.monotonic() - self._first_published
            self.get_logger().info(f"published {self._count} images in {seconds:.1f} s")
        self._frames.close()
        self._source.close()

    def _wait(self) -> None:
        now = time.monotonic()
        wanted = self._values["wait_for_subscribers"]
        found = sum(p.get_subscription_count() for p in self._publishers if p is not self._names)
        if self._ready_since is None and found < wanted:
            waited = now - self._made
            if waited > self._values["wait_timeout_s"]:
                raise UserError(
                    f"{found} of {wanted} readers of {self._images.topic_name} after {waited:.1f} s: "
                    "start them, or lower parameter wait_for_subscribers"
                )
            return
        self._ready_since = self._ready_since or now
        if now - self._ready_since < self._values["start_delay_s"]:
            return
        self.destroy_timer(self._timer)
        self._first_published = now
        self._rate_hz = self._values["rate_hz"]
        self.get_logger().info(
            f"publishing {self._values['source']} on {self._images.topic_name} at {self._rate_hz:g} Hz"
        )
        self._timer = self.create_timer(1.0 / self._rate_hz, self._publish_next, clock=self._pace)
        self._publish_next()

    def _publish_next(self) -> None:
        if self._values["rate_hz"] != self._rate_hz:
            self._rate_hz = self._values["rate_hz"]
            self._timer.timer_period_ns = int(1e9 / self._rate_hz)
        frame = next(self._frames, None)
        if frame is None:
            self._timer.cancel()
            self.done.set_result(None)
            return
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._values["frame_id"])
        self._names.publish(FrameName(header=header, name=frame.name, index=self._count))
        rgb = self._resize(frame.rgb)
        if self._compressed is None or self._images.get_subscription_count():
            self._images.publish(encode_image(rgb, header, self._values["encoding"]))
        if self._compressed is not None and self._compressed.get_subscription_count():
            kind, quality = self._values["compressed"], self._values["jpeg_quality"]
            self._compressed.publish(encode_compressed(rgb, header, kind, quality))
        self._count += 1

    def _resize(self, rgb: np.ndarray) -> np.ndarray:
        height, width = self._values["height"], self._values["width"]
        if not height and not width:
            return rgb
        return resize_to(
            rgb,
            height or max(1, round(rgb.shape[0] * width / rgb.shape[1])),
            width or max(1, round(rgb.shape[1] * height / rgb.shape[0])),
        )


def main(args: list[str] | None = None) -> int:
    """Run the camera node and return its exit code: 0 when done or stopped, 2 for the user's mistake."""
    return run_node(Camera, args)
