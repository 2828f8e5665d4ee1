"""Frames between arrival and result, without ROS: newest wins, each accepted frame has exactly one result."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coedge_ros.execution.fragment import FrameKey


@dataclass(slots=True)
class Frame:
    """An accepted frame: pixels `(H, W, 3)` uint8 of the model's size, kept until there is a result.

    Attributes
    ----------
    number : int
        Counts accepted frames from 0.
    header
        Of the image message, for the result.
    source_size : tuple of int
        (rows, columns) of the image message.
    picture : np.ndarray, optional
        `(rows, columns, 3)` uint8 of the image message, kept only where somebody wants to draw on it.
    received_s : float
        When the image was taken, monotonic seconds.
    attempts : int
        How often it was given to the workers.
    key : FrameKey, optional
        Under which it is with the workers now; each attempt has one of its own, so that fragments of an earlier one
        are stale.
    plan : IssuedPlan, optional
        Of the last attempt.
    """

    number: int
    header: Any
    pixels: np.ndarray
    received_s: float
    source_size: tuple[int, int] = (0, 0)
    picture: np.ndarray | None = None
    attempts: int = 0
    key: FrameKey | None = None
    plan: Any = None


@dataclass(slots=True)
class FrameBook:
    """Counts and keeps frames.

    Attributes
    ----------
    limit : int
        Frames that may be with the workers at the same time.
    queue_length : int
        Frames of each camera that may wait for their turn; one more pushes the camera's oldest out, which is counted as
        dropped.
    waiting : dict
        Frames that wait, by camera: the first fields of a `Frame` but for its number; whose turn it is comes first.
    """

    limit: int
    queue_length: int
    waiting: dict[str, deque[tuple]] = field(default_factory=dict)
    active: dict[int, Frame] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    received: int = 0
    accepted: int = 0
    answered: int = 0
    _next: int = 0

    def arrive(
        self,
        header: Any,
        pixels: np.ndarray,
        now_s: float,
        camera: str = "",
        source_size: tuple[int, int] | None = None,
        picture: np.ndarray | None = None,
    ) -> None:
        """A frame came in; a camera's newest is kept, its oldest waiting one goes when its queue is full.

        `source_size` is that of `pixels` where nothing else is said; see `Frame`.
        """
        queue = self.waiting.setdefault(camera, deque())
        queue.append((header, pixels, now_s, source_size or pixels.shape[:2], picture))
        while len(queue) > self.queue_length:
            queue.popleft()
            self.drop("replaced by a newer frame", camera)

    def drop(self, reason: str, camera: str = "") -> None:
        """Count a frame as dropped; under its camera's name where there are several."""
        self.dropped[f"{reason} of {camera}" if camera else reason] += 1

    def drop_waiting(self, reason: str) -> None:
        """None of the frames that wait is wanted any more."""
        for camera, queue in self.waiting.items():
            for _ in queue:
                self.drop(reason, camera)
            queue.clear()

    def accept(self) -> Frame | None:
        """Next waiting frame when there is room; from now on it must get a result.

        Each camera in its turn: whose frame was taken comes last, whatever the rates.
        """
        camera = next((camera for camera, queue in self.waiting.items() if queue), None)
        if camera is None or len(self.active) >= self.limit:
            return None
        self.waiting[camera] = queue = self.waiting.pop(camera)  # to the end
        frame = Frame(self._next, *queue.popleft())
        self._next += 1
        self.active[frame.number] = frame
        self.accepted += 1
        return frame

    def of_key(self, key: FrameKey) -> Frame | None:
        """The active frame that is with the workers under a key."""
        return next((frame for frame in self.active.values() if frame.key == key), None)

    def answer(self, number: int) -> Frame | None:
        """The frame of a result, taken out; None when it has had its result."""
        frame = self.active.pop(number, None)
        self.answered += frame is not None
        return frame
