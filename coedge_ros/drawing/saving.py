"""Pictures as files: which of a stream are worth keeping, and writing them."""

import re
from pathlib import Path

import cv2
import numpy as np

from coedge_ros.errors import UserError

FORMATS = ("jpg", "png")
JPEG_QUALITY = 90


class PictureSaver:
    """Saves each picture once, and of a video every so-manieth frame, up to a limit.

    Parameters
    ----------
    folder : Path
        Made when it is missing.
    every : int
        Of a video, keep the first frame and then each `every`-th that comes by.
    limit : int
        Files at most.
    format : str
        One of `FORMATS`.

    Raises
    ------
    UserError
        If the folder cannot be made.
    """

    def __init__(self, folder: Path, every: int, limit: int, format: str):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"parameter output_dir: {folder} cannot be made: {error.strerror}") from error
        self.folder = folder
        self._every, self._limit, self._format = every, limit, format
        self._seen: set[str] = set()
        self._stream_frames: dict[str, int] = {}

    def path_for(self, name: str) -> Path | None:
        """Where to save the frame of this name, or None if it is not to be saved.

        Parameters
        ----------
        name : str
            `picture.png`, or `video.mp4#17` for a frame of a video, or "" for a camera that tells no names.
        """
        if len(self._seen) >= self._limit:
            return None
        stream, is_stream, _ = name.partition("#")
        if is_stream or not name:
            count = self._stream_frames.get(stream, 0)
            self._stream_frames[stream] = count + 1
            if count % self._every:
                return None
            stem = f"{Path(stream).stem if stream else 'camera'}_{count:05d}"
        else:
            stem = Path(name).stem
        stem = re.sub(r"[^\w.-]+", "_", stem) or "frame"
        if stem in self._seen:
            return None
        self._seen.add(stem)
        return self.folder / f"{stem}.{self._format}"


def save_picture(path: Path, rgb: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB pixels as the format that the path's suffix says.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    stored = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1]
    try:
        path.write_bytes(stored.tobytes())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
