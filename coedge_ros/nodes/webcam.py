"""A webcam as a source. No ROS here."""

import threading
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from coedge_ros.errors import UserError
from coedge_ros.nodes.sources import SourceFrame

SILENCE_LIMIT_S = 5.0  # a webcam that gives nothing for this long is gone


class Webcam:
    """The newest frame of a webcam; older ones that nobody asked for in time are thrown away.

    A thread reads all the time: the driver queues frames, and a slower reader would see the past.

    Parameters
    ----------
    number : int
        As OpenCV counts them: 0 is usually /dev/video0.
    open_capture : callable
        Opens the capture; another one in tests.
    """

    def __init__(self, number: int, open_capture: Callable[[int], cv2.VideoCapture] = cv2.VideoCapture):
        self._number = number
        self._open_capture = open_capture
        self._news = threading.Condition()
        self._newest: tuple[int, np.ndarray] | None = None  # (count, BGR pixels)
        self._stop = False
        self._thread: threading.Thread | None = None

    def frames(self) -> Iterator[SourceFrame]:
        """Frames without end.

        Raises
        ------
        UserError
            If the webcam cannot be opened, or gives no picture for `SILENCE_LIMIT_S`.
        """
        capture = self._open_capture(self._number)
        if not capture.isOpened():
            capture.release()
            raise UserError(
                f"parameter source: webcam {self._number} cannot be opened: give the number of one that is connected, "
                "that this user may read (group video) and that no other program uses"
            )
        self._thread = threading.Thread(target=self._read, args=(capture,), name="webcam", daemon=True)
        self._thread.start()
        seen = 0
        while not self._stop:
            with self._news:
                arrived = self._news.wait_for(
                    lambda seen=seen: self._stop or (self._newest is not None and self._newest[0] > seen),
                    timeout=SILENCE_LIMIT_S,
                )
                if self._stop:
                    return
                if not arrived:
                    raise UserError(f"parameter source: webcam {self._number} gave no picture for {SILENCE_LIMIT_S} s")
                seen, bgr = self._newest
            yield SourceFrame(f"webcam{self._number}#{seen - 1}", cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))

    def close(self) -> None:
        """Stop reading and give the webcam back."""
        with self._news:
            self._stop = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=SILENCE_LIMIT_S)

    def _read(self, capture: cv2.VideoCapture) -> None:
        count = 0
        while not self._stop:
            found, bgr = capture.read()
            if not found:
                break
            count += 1
            with self._news:
                self._newest = (count, bgr)
                self._news.notify_all()
        capture.release()
