"""MCAP files as `ros2 bag` writes and plays them: profile ros2, CDR messages, definitions and QoS beside them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import yaml
from rclpy.qos import QoSProfile

from coedge_ros.errors import UserError
from coedge_ros.nodes.message_definitions import full_definition, type_name

FLUSH_S = 1.0  # what a killed recorder loses at most
CHUNK_BYTES = 1 << 20


def require_mcap() -> ModuleType:
    """The package mcap, which only these files need.

    Raises
    ------
    UserError
        When it is not installed.
    """
    try:
        import mcap.reader
        import mcap.stream_reader
        import mcap.writer
    except ImportError as error:
        raise UserError(f"MCAP files need the Python package mcap: pip install mcap ({error})") from error
    return mcap


class BagWriter:
    """Writes serialized messages: use it as a context manager, which completes the file.

    Parameters
    ----------
    path : Path
        A new file; what is there is never overwritten.

    Attributes
    ----------
    counts : Counter of str
        Messages written, by topic.

    Raises
    ------
    UserError
        When mcap is not installed, the file exists or cannot be written.
    """

    def __init__(self, path: Path):
        self._mcap = require_mcap()
        self.path, self.counts = path, Counter()
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._flushed_s = time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb")
        except FileExistsError:
            raise UserError(f"{path} exists: choose another name, or remove it") from None
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
        self._writer = self._mcap.writer.Writer(self._file, chunk_size=CHUNK_BYTES)
        # No metadata record "rosbag2": without one rosbag2 reads the QoS texts in their present form.
        self._writer.start(profile="ros2", library="coedge_ros")
        self._writer.flush()

    @property
    def topics(self) -> frozenset[str]:
        """Topics that have been added."""
        return frozenset(self._channels)

    def add_topic(self, topic: str, kind: type, offered: Iterable[QoSProfile]) -> None:
        """Announce a topic: its absolute name, the class of its messages, and the QoS that its publishers offer."""
        name = type_name(kind)
        if name not in self._schemas:
            text = full_definition(name).encode()
            self._schemas[name] = self._writer.register_schema(name, "ros2msg", text)
        self._channels[topic] = self._writer.register_channel(
            topic, "cdr", self._schemas[name], {"offered_qos_profiles": qos_text(offered)}
        )

    def write(self, topic: str, data: bytes, received_ns: int, sent_ns: int) -> None:
        """Write one message of an added topic.

        Parameters
        ----------
        data : bytes
            The serialized message, with its CDR header.
        received_ns, sent_ns : int
            Nanoseconds since 1970.

        Raises
        ------
        UserError
            When the file cannot be written any more.
        """
        self.counts[topic] += 1
        try:
            self._writer.add_message(
                self._channels[topic],
                log_time=received_ns,
                data=data,
                publish_time=sent_ns,
                sequence=self.counts[topic],
            )
            if time.monotonic() - self._flushed_s > FLUSH_S:
                self._flushed_s = time.monotonic()
                self._writer.flush()
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror}") from error

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, *exception) -> None:
        try:
            self._writer.finish()
            self._file.close()
        except OSError as error:
            raise UserError(f"{self.path} cannot be completed: {error.strerror}") from error


def qos_text(profiles: Iterable[QoSProfile]) -> str:
    """QoS profiles in the YAML of rosbag2 (metadata version 9, Jazzy and later); each different one once."""
    found = []
    for profile in profiles:
        values = {
            "history": profile.history.name.lower(),
            "depth": profile.depth,
            "reliability": profile.reliability.name.lower(),
            "durability": profile.durability.name.lower(),
            "deadline": _duration(profile.deadline),
            "lifespan": _duration(profile.lifespan),
            "liveliness": profile.liveliness.name.lower(),
            "liveliness_lease_duration": _duration(profile.liveliness_lease_duration),
            "avoid_ros_namespace_conventions": profile.avoid_ros_namespace_conventions,
        }
        if values not in found:
            found.append(values)
    return yaml.safe_dump(found, sort_keys=False)


def _duration(duration) -> dict[str, int]:
    seconds, nanoseconds = divmod(duration.nanoseconds, 10**9)
    return {"sec": seconds, "nsec": nanoseconds}
