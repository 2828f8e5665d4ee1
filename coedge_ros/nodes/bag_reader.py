"""Images of an MCAP bag, ours or of `ros2 bag record -s mcap`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

from coedge_ros.errors import UserError
from coedge_ros.nodes.bag_writer import require_mcap
from coedge_ros.nodes.camera_topics import is_compressed, raw_topic
from coedge_ros.nodes.compressed_images import AnyImage
from coedge_ros.nodes.message_definitions import type_name

KINDS = {type_name(kind): kind for kind in (Image, CompressedImage)}


@dataclass(frozen=True, slots=True)
class BagImage:
    """One image: its number in the bag from 0, when it was recorded [ns since 1970], and the message."""

    number: int
    received_ns: int
    image: AnyImage


class BagImages:
    """The images of one topic, in the order in which they were recorded.

    Parameters
    ----------
    path : Path
        The .mcap file.
    topic : str
        Absolute name; "" for the only topic with images, or the one that ends in `/image` or `/image_raw`; with images
        compressed only where none of those ends so.

    Attributes
    ----------
    topic : str
        The topic that is read.
    kind : type
        Class of its messages, `Image` or `CompressedImage`.

    Raises
    ------
    UserError
        When mcap is not installed, the file is no MCAP file, or it has no such images.
    """

    def __init__(self, path: Path, topic: str = ""):
        self._mcap = require_mcap()
        self.path = path
        if path.is_dir():
            files = sorted(path.glob("*.mcap"))
            if len(files) != 1:
                raise UserError(f"{path} is a folder with {len(files)} .mcap files: name one of them")
            self.path = files[0]
        topics = self._topics()
        self.topic = self._choose(topic, topics)
        self.kind = KINDS[topics[self.topic]]

    def _choose(self, topic: str, topics: dict[str, str]) -> str:
        names = sorted(name for name, kind in topics.items() if kind in KINDS)
        if topic:
            topic = "/" + topic.strip("/")
            if topic in names:
                return topic
            found = f"it is of type {topics[topic]}" if topic in topics else "it is not there"
            raise UserError(
                f"--topic: {self.path} has no images on {topic}: {found}; images: {', '.join(names) or 'none'}"
            )
        likely = [name for name in names if raw_topic(name).endswith(("/image", "/image_raw"))]
        raw = [name for name in likely if not is_compressed(name)]
        for found in (names, raw or likely):
            if len(found) == 1:
                return found[0]
        raise UserError(
            f"{self.path} has images on {', '.join(names)}: choose one with --topic" if names else
            f"{self.path} has no {' and no '.join(KINDS)}: record with --images"
        )  # fmt: skip

    def _topics(self) -> dict[str, str]:
        """Topic to type. The file is read to its end when it was not completed."""
        if self._is_complete():
            with self.path.open("rb") as file:
                summary = self._mcap.reader.SeekingReader(file).get_summary()
            if summary is not None:
                return {c.topic: summary.schemas[c.schema_id].name for c in summary.channels.values() if c.schema_id}
        schemas, topics = {}, {}
        for record in self._records():
            if isinstance(record, self._mcap.records.Schema):
                schemas[record.id] = record.name
            elif isinstance(record, self._mcap.records.Channel) and record.schema_id in schemas:
                topics[record.topic] = schemas[record.schema_id]
        return topics

    def _is_complete(self) -> bool:
        """Whether the file ends as MCAP files do; it does not when its writer was killed."""
        magic = self._mcap.writer.MCAP0_MAGIC
        try:
            with self.path.open("rb") as file:
                if file.read(len(magic)) != magic:
                    raise UserError(f"{self.path} is no MCAP file")
                file.seek(-len(magic), os.SEEK_END)
                return file.tell() > len(magic) and file.read() == magic
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror}") from error

    def _records(self) -> Iterator[Any]:
        """All records as they lie in an incomplete file, as far as it goes."""
        with self.path.open("rb") as file:
            records = self._mcap.stream_reader.StreamReader(file).records
            while True:
                try:
                    record = next(records)
                except Exception:  # what the broken end raises depends on where it broke: struct, zstd, end of file
                    return
                yield record

    def __iter__(self) -> Iterator[BagImage]:
        """One pass over all images."""
        for number, (received_ns, data) in enumerate(self._messages()):
            yield BagImage(number, received_ns, deserialize_message(data, self.kind))

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        if self._is_complete():
            with self.path.open("rb") as file:
                for _, _, message in self._mcap.reader.SeekingReader(file).iter_messages(self.topic):
                    yield message.log_time, message.data
            return
        channels = set()
        for record in self._records():
            if isinstance(record, self._mcap.records.Channel) and record.topic == self.topic:
                channels.add(record.id)
            elif isinstance(record, self._mcap.records.Message) and record.channel_id in channels:
                yield record.log_time, record.data
