"""sensor_msgs/Image to RGB pixels and back, and the one way in which this package resizes pictures."""

import array

import cv2
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from coedge_ros.errors import UserError

# encoding: (bytes per pixel, OpenCV conversion to RGB, and from RGB); None: the bytes are RGB already
_FAST = {
    "rgb8": (3, None, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB, cv2.COLOR_RGB2BGR),
    "mono8": (1, cv2.COLOR_GRAY2RGB, cv2.COLOR_RGB2GRAY),
    "rgba8": (4, cv2.COLOR_RGBA2RGB, cv2.COLOR_RGB2RGBA),
    "bgra8": (4, cv2.COLOR_BGRA2RGB, cv2.COLOR_RGB2BGRA),
}
SUPPORTED_ENCODINGS = tuple(_FAST)


def decode_image(msg: Image) -> np.ndarray:
    """Pixels of an image message.

    Parameters
    ----------
    msg : sensor_msgs.msg.Image
        rgb8, bgr8, mono8, rgba8 and bgra8 are read here, row padding (`step`) included; alpha is dropped. Any other
        encoding is left to `cv_bridge`, where that is installed.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8, RGB. For rgb8 it is a view of the message's own bytes, so it must not be written to; its rows
        may lie apart from each other.

    Raises
    ------
    UserError
        If the image is empty, is shorter than it says, or has an encoding that cannot be read.
    """
    if msg.height == 0 or msg.width == 0 or len(msg.data) == 0:
        raise UserError(
            f"empty image: height {msg.height}, width {msg.width}, {len(msg.data)} bytes; check the camera driver"
        )
    if msg.encoding not in _FAST:
        return _decode_with_cv_bridge(msg)
    channels, to_rgb, _ = _FAST[msg.encoding]
    row_bytes = msg.width * channels
    if msg.step < row_bytes:
        raise UserError(
            f"image step {msg.step} is too small: {msg.width} pixels of {msg.encoding} need {row_bytes} bytes a row"
        )
    wanted = msg.step * msg.height
    if len(msg.data) < wanted:
        raise UserError(
            f"truncated image: {len(msg.data)} bytes, but step {msg.step} x height {msg.height} needs {wanted}"
        )
    rows = np.frombuffer(msg.data, dtype=np.uint8, count=wanted).reshape(msg.height, msg.step)[:, :row_bytes]
    pixels = rows.reshape(msg.height, msg.width, channels)  # still a view: only the last axis was split
    return pixels if to_rgb is None else cv2.cvtColor(pixels, to_rgb)


def encode_image(rgb: np.ndarray, header: Header, encoding: str = "rgb8") -> Image:
    """Image message of RGB pixels.

    Parameters
    ----------
    rgb : np.ndarray
        (H, W, 3) uint8, RGB.
    header : std_msgs.msg.Header
        Used as it is, not copied.
    encoding : str
        One of `SUPPORTED_ENCODINGS`.

    Raises
    ------
    UserError
        If the encoding is not supported or the pixels have another shape or type.
    """
    if encoding not in _FAST:
        raise UserError(f"cannot write images as {encoding!r}: choose one of {', '.join(SUPPORTED_ENCODINGS)}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise UserError(f"pixels must be (H, W, 3) uint8 and not empty, not {rgb.shape} {rgb.dtype}")
    channels, _, from_rgb = _FAST[encoding]
    pixels = np.ascontiguousarray(rgb) if from_rgb is None else cv2.cvtColor(rgb, from_rgb)
    height, width = pixels.shape[:2]
    data = array.array("B")  # the one type that the generated setter takes over instead of checking byte by byte
    data.frombytes(memoryview(pixels).cast("B"))
    return Image(header=header, height=height, width=width, encoding=encoding, step=width * channels, data=data)


def resize_to(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize to (height, width, 3), bilinear; the same array when it has that size already.

    Camera, manager, reference and self-check all resize with this function, so that they compare equal pixels. Like
    every plain bilinear resize it does not low-pass first, so strong reduction shows aliasing.
    """
    if rgb.shape[:2] == (height, width):
        return rgb
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)


def _decode_with_cv_bridge(msg: Image) -> np.ndarray:
    try:
        from cv_bridge import CvBridge
    except Exception:  # not only ImportError: a build for another numpy, or ROS 1's package, fails in its own way
        raise UserError(
            f"image encoding {msg.encoding!r} is not supported: use one of {', '.join(SUPPORTED_ENCODINGS)}, "
            "or install cv_bridge for others"
        ) from None
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(msg, desired_encoding="rgb8"))
    except Exception as error:  # cv_bridge raises its own error, and whatever numpy and OpenCV raise on bad data
        raise UserError(
            f"image encoding {msg.encoding!r}, {msg.height} x {msg.width}, step {msg.step}, {len(msg.data)} bytes, "
            f"cannot be read by cv_bridge ({error}): use one of {', '.join(SUPPORTED_ENCODINGS)}"
        ) from error
