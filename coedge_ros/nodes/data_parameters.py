"""Parameters of the data plane that manager and workers share, and the channel that follows from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from coedge_ros.nodes.dds_channel import REMOTE_CHUNK_BYTES, DdsChannel
from coedge_ros.nodes.parameters import Parameter

DATA_PARAMETERS = (
    Parameter("fragment_depth", 1024, "Fragments that may be in flight to it.", "messages", 8, 8192, read_only=True),
    Parameter("chunk_bytes", 524288, "Largest payload of one message.", "bytes", 1024, 16777216, read_only=True),
    Parameter(
        "remote_chunk_bytes", REMOTE_CHUNK_BYTES, "The same to peers on other hosts.", "bytes", 1024, 16777216,
        read_only=True,
    ),
    Parameter(
        "resend_bytes", 33554432, "What it sent last is kept up to this, to be sent again when a receiver lacks it.",
        "bytes", 0, 2147483648, read_only=True,
    ),
)  # fmt: skip


def make_channel(node: Node, name: str, values: dict[str, Any], resolve: Callable[[str], str]) -> DdsChannel:
    """The channel of a participant over its data node, see `DdsChannel`."""
    return DdsChannel(
        node, name, values["fragment_depth"], values["chunk_bytes"], resolve, values["resend_bytes"],
        remote_chunk_bytes=values["remote_chunk_bytes"],
    )  # fmt: skip
