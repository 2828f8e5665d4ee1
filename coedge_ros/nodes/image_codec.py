"""sensor_msgs/Image to RGB pixels and back, and the one way in which this package resizes pictures."""

import array

import cv2
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from coedge_ros.errors import UserError
from coedge_ros.nodes.pixel_formats import READ, WRITTEN, PixelFormat

READABLE_ENCODINGS = tuple(READ)
WRITABLE_ENCODINGS = tuple(WRITTEN)


def decode_image(msg: Image) -> np.ndarray:
    """Pixels of an image message.

    Parameters
    ----------
    msg : sensor_msgs.msg.Image
        `READABLE_ENCODINGS` are read here, row padding (`step`) and big-endian values included; alpha is dropped, 16
        bits become 8, YUV is BT.601 with luma from 16 to 235, what a Bayer mosaic lacks is interpolated linearly. Any
        other encoding is left to `cv_bridge`, where that is installed.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8, RGB. For rgb8 it is a view of the message's own bytes, so it must not be written to; its rows
        may lie apart from each other.

    Raises
    ------
    UserError
        If the image is empty, is shorter than it says, has a size that its encoding cannot have, or an encoding that
        cannot be read.
    """
    if msg.height == 0 or msg.width == 0 or len(msg.data) == 0:
        raise UserError(
            f"empty image: height {msg.height}, width {msg.width}, {len(msg.data)} bytes; check the camera driver"
        )
    if msg.encoding not in READ:
        return _decode_with_cv_bridge(msg)
    pixel_format = READ[msg.encoding]
    _check_size(msg, pixel_format)
    wanted = msg.step * msg.height
    rows = np.frombuffer(msg.data, dtype=np.uint8, count=wanted).reshape(msg.height, msg.step)
    rows = rows[:, : pixel_format.row_bytes(msg.width)]
    try:
        return to_rgb(pixel_format.pixels_of(rows, msg.width, bool(msg.is_bigendian)), pixel_format)
    except cv2.error as error:
        raise UserError(
            f"image of {msg.encoding}, {msg.height} x {msg.width}, step {msg.step}, cannot be read by OpenCV: {error}"
        ) from error


def to_rgb(pixels: np.ndarray, pixel_format: PixelFormat) -> np.ndarray:
    """(H, W, 3) RGB of 8 bit values (H, W) or (H, W, channels); the same array where they are RGB already."""
    return pixels if pixel_format.to_rgb is None else cv2.cvtColor(pixels, pixel_format.to_rgb)


def _check_size(msg: Image, pixel_format: PixelFormat) -> None:
    row_bytes = pixel_format.row_bytes(msg.width)
    if msg.step < row_bytes:
        raise UserError(
            f"image step {msg.step} is too small: {msg.width} pixels of {msg.encoding} need {row_bytes} bytes a row"
        )
    wanted = msg.step * msg.height
    if len(msg.data) < wanted:
        raise UserError(
            f"truncated image: {len(msg.data)} bytes, but step {msg.step} x height {msg.height} needs {wanted}"
        )
    if pixel_format.pairs and msg.width % 2:
        raise UserError(
            f"image width {msg.width} is odd: in {msg.encoding} two pixels share their colour, so it must be even; "
            "check the camera driver"
        )
    if min(msg.height, msg.width) < pixel_format.least:
        raise UserError(
            f"image of {msg.height} x {msg.width} is too small: {msg.encoding} needs {pixel_format.least} rows and "
            "columns to make colours from"
        )


def encode_labels(labels: np.ndarray, header: Header) -> Image:
    """mono8 image message of class numbers (H, W) uint8; the header is used as it is, not copied."""
    assert labels.ndim == 2 and labels.dtype == np.uint8, (labels.shape, labels.dtype)
    return _message(labels, header, "mono8", 1)


def encode_image(rgb: np.ndarray, header: Header, encoding: str = "rgb8") -> Image:
    """Image message of RGB pixels.

    Parameters
    ----------
    rgb : np.ndarray
        (H, W, 3) uint8, RGB.
    header : std_msgs.msg.Header
        Used as it is, not copied.
    encoding : str
        One of `WRITABLE_ENCODINGS`.

    Raises
    ------
    UserError
        If the encoding is not supported or the pixels have another shape or type.
    """
    if encoding not in WRITTEN:
        raise UserError(f"cannot write images as {encoding!r}: choose one of {', '.join(WRITABLE_ENCODINGS)}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise UserError(f"pixels must be (H, W, 3) uint8 and not empty, not {rgb.shape} {rgb.dtype}")
    channels, from_rgb = WRITTEN[encoding].channels, WRITTEN[encoding].from_rgb
    pixels = np.ascontiguousarray(rgb) if from_rgb is None else cv2.cvtColor(rgb, from_rgb)
    return _message(pixels, header, encoding, channels)


def _message(pixels: np.ndarray, header: Header, encoding: str, channels: int) -> Image:
    height, width = pixels.shape[:2]
    data = array.array("B")  # the one type that the generated setter takes over instead of checking byte by byte
    data.frombytes(memoryview(np.ascontiguousarray(pixels)).cast("B"))
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
            f"image encoding {msg.encoding!r} is not supported: use one of {', '.join(READABLE_ENCODINGS)}, "
            "or install cv_bridge for others"
        ) from None
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(msg, desired_encoding="rgb8"))
    except Exception as error:  # cv_bridge raises its own error, and whatever numpy and OpenCV raise on bad data
        raise UserError(
            f"image encoding {msg.encoding!r}, {msg.height} x {msg.width}, step {msg.step}, {len(msg.data)} bytes, "
            f"cannot be read by cv_bridge ({error}): use one of {', '.join(READABLE_ENCODINGS)}"
        ) from error
