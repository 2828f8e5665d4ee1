"""Where the camera node's pictures come from: files, a video, a webcam, the examples. No ROS here.

A source gives one pass over its frames; whoever wants a loop asks for another pass.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from coedge_ros.errors import UserError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
EXAMPLE_PICTURES = "example"
EXAMPLE_VIDEO = "example_video"
CACHE_LIMIT_BYTES = 256 * 1024 * 1024  # decoded pictures kept for the next pass; the rest are decoded again


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One frame: RGB pixels (H, W, 3) uint8 and a name, `picture.png` or `video.mp4#17`."""

    name: str
    rgb: np.ndarray


class Source(Protocol):
    """Something that has frames."""

    def frames(self) -> Iterator[SourceFrame]:
        """One pass over all frames, from the beginning."""

    def close(self) -> None:
        """Free what is open. The source is not used afterwards."""


class PictureFiles:
    """Pictures in a given order, decoded once and kept for the next pass.

    Parameters
    ----------
    paths : list of Path
        Files to read.
    warn : callable
        Takes a sentence for people. An unreadable picture is named once and then left out.
    transform : callable
        Applied to the pixels before they are kept, such as a resize.
    """

    def __init__(
        self,
        paths: list[Path],
        warn: Callable[[str], None],
        transform: Callable[[np.ndarray], np.ndarray] = lambda rgb: rgb,
    ):
        self._paths = list(paths)
        self._warn = warn
        self._transform = transform
        self._kept: dict[Path, SourceFrame] = {}
        self._kept_bytes = 0

    def frames(self) -> Iterator[SourceFrame]:
        """One pass over those that can be read."""
        for path in list(self._paths):
            frame = self._kept.get(path) or self._read(path)
            if frame is not None:
                yield frame

    def close(self) -> None:
        """Forget the kept pictures."""
        self._kept.clear()

    def _read(self, path: Path) -> SourceFrame | None:
        # Not cv2.imread: it prints warnings of its own and cannot read some non-ASCII paths.
        try:
            stored = np.fromfile(path, dtype=np.uint8)
            bgr = cv2.imdecode(stored, cv2.IMREAD_COLOR) if stored.size else None
        except (OSError, cv2.error):
            bgr = None
        if bgr is None:
            self._warn(f"skipped {path.name}: not a picture that can be read")
            self._paths.remove(path)
            return None
        frame = SourceFrame(path.name, self._transform(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)))
        if self._kept_bytes + frame.rgb.nbytes <= CACHE_LIMIT_BYTES:
            self._kept[path] = frame
            self._kept_bytes += frame.rgb.nbytes
        return frame


class VideoFile:
    """A video from its first frame to its last, none left out."""

    def __init__(self, path: Path):
        self._path = path
        self._capture: cv2.VideoCapture | None = None

    def frames(self) -> Iterator[SourceFrame]:
        """One pass; the file is opened anew for each.

        Raises
        ------
        UserError
            If the file is no video, or gives no frame.
        """
        self.close()
        self._capture = cv2.VideoCapture(str(self._path))
        number = 0
        while self._capture is not None:  # None: closed while the reader held a frame
            found, bgr = self._capture.read()
            if not found:
                break
            yield SourceFrame(f"{self._path.name}#{number}", cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
            number += 1
        self.close()
        if number == 0:
            raise UserError(
                f"parameter source: {self._path} cannot be played: neither a picture nor a video that OpenCV reads"
            )

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class Chain:
    """Several sources, one after the other."""

    def __init__(self, sources: list[Source]):
        self._sources = sources

    def frames(self) -> Iterator[SourceFrame]:
        """One pass over each source in turn."""
        for source in self._sources:
            yield from source.frames()

    def close(self) -> None:
        """Close all of them."""
        for source in self._sources:
            source.close()


def play(source: Source, loop: bool, max_frames: int) -> Iterator[SourceFrame]:
    """Frames of `source`, over and over when `loop`, at most `max_frames` of them (0: no limit).

    Raises
    ------
    UserError
        If a whole pass gives no frame.
    """
    count = 0
    while True:
        before = count
        for frame in source.frames():
            yield frame
            count += 1
            if count == max_frames:
                return
        if count == before:
            raise UserError("parameter source: not one of its pictures can be read: give files that OpenCV reads")
        if not loop:
            return


def open_source(
    text: str,
    warn: Callable[[str], None],
    transform: Callable[[np.ndarray], np.ndarray] = lambda rgb: rgb,
) -> Source:
    """Find out what `text` names.

    Parameters
    ----------
    text : str
        A folder of pictures, a picture, a video, the number of a webcam, `example` (three photos), `example_video`, or
        several of these with commas between them.
    warn : callable
        Takes sentences about pictures that were skipped.
    transform : callable
        Applied to each kept picture; frames of videos and webcams are given as they are.

    Raises
    ------
    UserError
        If it names nothing that exists; the message says what may be given.
    """
    text = text.strip()
    if "," in text and not Path(text).expanduser().exists():
        return Chain([open_source(part, warn, transform) for part in text.split(",") if part.strip()])
    if text == EXAMPLE_PICTURES:
        return PictureFiles(_example_pictures(), warn, transform)
    if text == EXAMPLE_VIDEO:
        return VideoFile(_example_video())
    if text.isdecimal():
        from coedge_ros.nodes.webcam import Webcam

        return Webcam(int(text))
    path = Path(text).expanduser()
    if not text or not path.exists():
        what = f"{text} does not exist" if text else "nothing is given"
        raise UserError(
            f"parameter source: {what}: give a folder of pictures, a picture, a video, the number of a webcam, "
            f"{EXAMPLE_PICTURES} or {EXAMPLE_VIDEO}"
        )
    if path.is_dir():
        pictures = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES and file.is_file())
        if not pictures:
            raise UserError(f"parameter source: folder {text} holds no picture ({' '.join(PICTURE_SUFFIXES)})")
        return PictureFiles(pictures, warn, transform)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return PictureFiles([path], warn, transform)
    return VideoFile(path)


def _example_pictures() -> list[Path]:
    from coedge_ros.graph.example_data import photo

    return [photo(name) for name in ("chelsea.png", "coffee.png", "motorcycle_left.png")]


def _example_video() -> Path:
    from coedge_ros.graph.example_data import video

    return video("bikes.mp4")
