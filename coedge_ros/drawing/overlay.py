"""A map of classes laid over the picture in colours."""

from functools import cache

import cv2
import numpy as np


@cache
def class_colors() -> np.ndarray:
    """(256, 3) uint8, the colour of each class: the map of the PASCAL VOC development kit, black for class 0.

    The bits of a class's number, three by three, go to red, green and blue, from the highest bit down.
    """
    colors = np.zeros((256, 3), np.uint8)
    for number in range(256):
        for level in range(8):
            for channel in range(3):
                colors[number, channel] |= ((number >> (3 * level + channel)) & 1) << (7 - level)
    return colors


def draw_overlay(rgb: np.ndarray, labels: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """(H, W, 3) uint8: a picture (H, W, 3) uint8 under the colours of its labels (H, W) uint8.

    `opacity`, [0, 1], is that of the colours; class 0, the background, only darkens.
    """
    return cv2.addWeighted(rgb, 1.0 - opacity, class_colors()[labels], opacity, 0.0)
