"""sensor_msgs/CompressedImage to RGB pixels and back: JPEG and PNG, as image_transport sends them."""

from __future__ import annotations

import array

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from coedge_ros.errors import UserError
from coedge_ros.nodes.image_codec import to_rgb
from coedge_ros.nodes.pixel_formats import READ

AnyImage = Image | CompressedImage
FORMATS = ("jpeg", "png")
MOST_PIXELS = 2**26  # a few bytes can say that they are a picture of gigabytes
# JPEG has a bit at least for each block of 8 x 8 values: a damaged size shows before memory is taken for it. PNG has a
# checksum.
MOST_JPEG_PIXELS_PER_BYTE = 512
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # segments that say how large a JPEG is
# Rows of the sensor stay rows: a turn that the file asks for is ignored, as image_transport does.
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION
_TO_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)  # OpenCV 4.11; before, colours are turned afterwards


def decode_compressed(msg: CompressedImage) -> np.ndarray:
    """Pixels of a compressed image.

    Parameters
    ----------
    msg : sensor_msgs.msg.CompressedImage
        JPEG or PNG; which of them is read from the data. `format` counts only where it begins with the name of a Bayer
        mosaic (`bayer_rggb8; jpeg compressed`). 16 bit values become 8 bit ones, alpha is dropped.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8, RGB.

    Raises
    ------
    UserError
        If it is empty, is neither, ends too early, or is broken in a way that its decoder notices. JPEG has no
        checksum: changed bytes in its middle are wrong pixels.
    """
    data = bytes(msg.data)
    if not data:
        raise UserError("empty compressed image: 0 bytes; check the camera driver")
    what = f"compressed image of {len(data)} bytes, format {msg.format[:64]!r}"
    if "compressedDepth" in msg.format:
        raise UserError(f"{what}: depth images cannot be read; name a topic of pictures")
    if data.startswith(_JPEG):
        kind, size = "JPEG", _jpeg_size(data)
    elif data.startswith(_PNG):
        kind, size = "PNG", _png_size(data)
    else:
        raise UserError(f"{what}: neither JPEG nor PNG; let the camera driver send one of them, or raw images")
    if size is None:
        raise UserError(f"{what}: broken {kind}, it ends too early or has no size")
    if not 0 < size[0] * size[1] <= MOST_PIXELS:
        raise UserError(f"{what}: {kind} of {size[0]} x {size[1]} pixels; at most {MOST_PIXELS} are read")
    if kind == "JPEG" and size[0] * size[1] > MOST_JPEG_PIXELS_PER_BYTE * len(data):
        raise UserError(f"{what}: broken {kind}, {size[0]} x {size[1]} pixels cannot be in so few bytes")
    mosaic = READ.get(msg.format.partition(";")[0].strip())
    is_mosaic = mosaic is not None and mosaic.least > 1
    try:
        pixels = _decode(np.frombuffer(data, np.uint8), is_mosaic)
        if pixels is not None:
            return to_rgb(pixels, mosaic) if is_mosaic else pixels
    except cv2.error as error:
        raise UserError(f"{what}: broken {kind}: {error}") from error
    raise UserError(f"{what}: broken {kind}, OpenCV cannot read it")


def encode_compressed(rgb: np.ndarray, header: Header, kind: str, quality: int = 95) -> CompressedImage:
    """Compressed image of RGB pixels (H, W, 3) uint8; `kind` is one of `FORMATS`, `quality` 1 to 100 is JPEG's."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == "jpeg" else []
    _, coded = cv2.imencode(".jpg" if kind == "jpeg" else ".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    data = array.array("B")  # the one type that the generated setter takes over instead of checking byte by byte
    data.frombytes(memoryview(coded).cast("B"))
    return CompressedImage(header=header, format=f"rgb8; {kind} compressed bgr8", data=data)


def _decode(data: np.ndarray, is_mosaic: bool) -> np.ndarray | None:
    if is_mosaic:
        return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE | _AS_STORED)
    if _TO_RGB is not None:
        return cv2.imdecode(data, _TO_RGB | _AS_STORED)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | _AS_STORED)
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Height and width; None when the file has none, or no end, without which OpenCV makes up the rest in grey."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xFF:  # a byte of filling
            at += 1
        elif data[at + 1] in _FRAME_HEADERS:
            ends = data.rfind(b"\xff\xd9") > at
            return (_number(data, at + 5), _number(data, at + 7)) if ends else None
        else:
            at += 2 + _number(data, at + 2)
    return None


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Height and width; None when the file is too short to have them, or has no end."""
    if data[12:16] != b"IHDR" or data.rfind(b"IEND") < 24:
        return None
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")
