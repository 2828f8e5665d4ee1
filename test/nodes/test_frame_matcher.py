"""Images, names and results that belong together find each other."""

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from coedge_ros.msg import FrameName, InferenceResult
from coedge_ros.nodes.frame_matcher import FrameMatcher


def header(second: int, camera: str) -> Header:
    made = Header(frame_id=camera)
    made.stamp.sec = second
    return made


def test_cameras_that_see_at_the_same_moment_are_told_apart_by_their_frame_id():
    matcher = FrameMatcher(8)
    assert matcher.take_image(Image(header=header(1, "front"))) is None
    assert matcher.take_image(CompressedImage(header=header(1, "rear"))) is None
    rear = matcher.take_result(InferenceResult(header=header(1, "rear"), frame=2))
    front = matcher.take_result(InferenceResult(header=header(1, "front"), frame=1))
    assert isinstance(rear.image, CompressedImage) and rear.result.frame == 2
    assert isinstance(front.image, Image) and front.result.frame == 1
    named = matcher.take_name(FrameName(header=header(1, "rear"), name="rear.png"))
    assert named.name == "rear.png" and named.result.frame == 2


def test_a_result_of_another_camera_matches_nothing():
    matcher = FrameMatcher(8)
    matcher.take_image(Image(header=header(1, "front")))
    assert matcher.take_result(InferenceResult(header=header(1, "rear"))) is None
