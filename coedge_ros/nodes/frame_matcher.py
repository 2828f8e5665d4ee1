"""Brings an image, its name and its result together again, by stamp and frame_id. Bounded; of ROS only messages."""

from collections import OrderedDict
from dataclasses import dataclass

from std_msgs.msg import Header

from coedge_ros.msg import FrameName, InferenceResult
from coedge_ros.nodes.compressed_images import AnyImage

Stamp = tuple[int, int, str]  # with the frame_id, because cameras may see at the same moment


@dataclass(frozen=True, slots=True)
class MatchedFrame:
    """An image with its answer; the name is "" when the camera tells none."""

    image: AnyImage
    result: InferenceResult
    name: str


class FrameMatcher:
    """Keeps what has no partner yet, in whatever order things arrive.

    `has_names` tells whether a camera has told any.

    Parameters
    ----------
    limit : int
        Images that may wait; the oldest is forgotten first. Ten times as many results and names, which are small.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._images: OrderedDict[Stamp, AnyImage] = OrderedDict()
        self._results: OrderedDict[Stamp, InferenceResult] = OrderedDict()
        self._names: OrderedDict[Stamp, str] = OrderedDict()
        self._unnamed: OrderedDict[Stamp, MatchedFrame] = OrderedDict()
        self.has_names = False

    def take_name(self, name: FrameName) -> MatchedFrame | None:
        """A camera said what it publishes; returns the answered image that it names again, if that came before."""
        self.has_names = True
        stamp = stamp_of(name.header)
        frame = self._unnamed.pop(stamp, None)
        if frame is None:
            _keep(self._names, stamp, name.name, 10 * self._limit)
            return None
        return MatchedFrame(frame.image, frame.result, name.name)

    def take_image(self, image: AnyImage) -> MatchedFrame | None:
        """An image arrived; returns it with its answer if that was there before."""
        stamp = stamp_of(image.header)
        result = self._results.pop(stamp, None)
        if result is None:
            _keep(self._images, stamp, image, self._limit)
            return None
        return self._matched(stamp, image, result)

    def take_result(self, result: InferenceResult) -> MatchedFrame | None:
        """An answer arrived; returns it with its image if that is still there."""
        stamp = stamp_of(result.header)
        image = self._images.pop(stamp, None)
        if image is None:
            _keep(self._results, stamp, result, 10 * self._limit)
            return None
        return self._matched(stamp, image, result)

    def _matched(self, stamp: Stamp, image: AnyImage, result: InferenceResult) -> MatchedFrame:
        frame = MatchedFrame(image, result, self._names.pop(stamp, ""))
        if not frame.name:  # topics do not wait for each other: it may be on its way
            _keep(self._unnamed, stamp, frame, self._limit)
        return frame


def stamp_of(header: Header) -> Stamp:
    """What an image, its name and its result have in common."""
    return header.stamp.sec, header.stamp.nanosec, header.frame_id


def _keep(store: OrderedDict, stamp: Stamp, value, limit: int) -> None:
    store[stamp] = value
    store.move_to_end(stamp)
    while len(store) > limit:
        store.popitem(last=False)
