"""Encodings of `sensor_msgs/Image` that are read without `cv_bridge`: how the pixels lie, and how they become RGB."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How an encoding stores its pixels.

    Attributes
    ----------
    channels : int
        Values per pixel.
    to_rgb : int, optional
        OpenCV's conversion of 8 bit values to RGB; None: they are RGB already.
    from_rgb : int, optional
        OpenCV's conversion from RGB; None where there is none, and for rgb8.
    bytes_per_value : int
        1, or 2 for 16 bit values.
    pairs : bool
        Two pixels side by side share their colour, so the width must be even.
    least : int
        Rows and columns that there must be: the borders of a Bayer mosaic are made from their neighbours.
    """

    channels: int
    to_rgb: int | None = None
    from_rgb: int | None = None
    bytes_per_value: int = 1
    pairs: bool = False
    least: int = 1

    def row_bytes(self, width: int) -> int:
        """Bytes of a row of pixels, without padding."""
        return width * self.channels * self.bytes_per_value

    def pixels_of(self, rows: np.ndarray, width: int, big_endian: bool) -> np.ndarray:
        """8 bit values (H, W) or (H, W, channels) of rows of bytes (H, row_bytes); a view where they are 8 bit already.

        16 bit values become 8 bit ones as in `cv_bridge`: 65535 is 255, rounded to the nearest.
        """
        shape = (len(rows), width) if self.channels == 1 else (len(rows), width, self.channels)
        if self.bytes_per_value == 1:
            return rows.reshape(shape)  # still a view: only the last axis was split
        stored = rows.view(">u2" if big_endian else "<u2").reshape(shape)
        # OpenCV wants the processor's own byte order, and values that do not begin at odd addresses (an odd step).
        return cv2.convertScaleAbs(np.require(stored, np.uint16, "A"), alpha=1 / 257)


# ROS names a mosaic by the first two pixels of the first and of the second row, OpenCV by the second and third pixel of
# the second row: ROS's rggb is OpenCV's BG.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
_EIGHT_BIT = {
    "rgb8": PixelFormat(3),
    "bgr8": PixelFormat(3, cv2.COLOR_BGR2RGB, cv2.COLOR_RGB2BGR),
    "mono8": PixelFormat(1, cv2.COLOR_GRAY2RGB, cv2.COLOR_RGB2GRAY),
    "rgba8": PixelFormat(4, cv2.COLOR_RGBA2RGB, cv2.COLOR_RGB2RGBA),
    "bgra8": PixelFormat(4, cv2.COLOR_BGRA2RGB, cv2.COLOR_RGB2BGRA),
}
_UYVY = PixelFormat(2, cv2.COLOR_YUV2RGB_UYVY, pairs=True)
_YUYV = PixelFormat(2, cv2.COLOR_YUV2RGB_YUY2, pairs=True)

READ: dict[str, PixelFormat] = {
    **_EIGHT_BIT,
    **{
        name.replace("8", "16"): PixelFormat(of.channels, of.to_rgb, bytes_per_value=2)
        for name, of in _EIGHT_BIT.items()
    },
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    **{
        f"bayer_{name}{8 * size}": PixelFormat(1, code, bytes_per_value=size, least=3)
        for size in (1, 2)
        for name, code in _BAYER.items()
    },
}
WRITTEN: dict[str, PixelFormat] = _EIGHT_BIT
