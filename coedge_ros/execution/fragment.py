"""What travels between participants, and the channel that carries it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from coedge_ros.spec.codec import Codec
from coedge_ros.spec.schedule import Transfer

PROTOCOL_VERSION = 1


@dataclass(frozen=True, slots=True, order=True)
class FrameKey:
    """All state belongs to one of these: session of the manager, epoch of the plan, frame number."""

    session: int
    epoch: int
    frame: int

    def __str__(self) -> str:
        return f"frame {self.frame} of epoch {self.epoch}"


@dataclass(slots=True)
class Fragment:
    """One chunk of a transfer. The fields are those of `coedge_ros/msg/Fragment`, whose messages serve in its place."""

    session: int
    epoch: int
    frame: int
    transfer: int
    source: str
    model_digest: str
    row_start: int
    row_stop: int
    shape: Sequence[int]
    dtype: str
    data: Any  # buffer of bytes
    chunk: int = 0
    chunk_count: int = 1
    codec: int = Codec.RAW
    scale: Sequence[float] = field(default_factory=tuple)
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A whole transfer to be sent: the channel cuts it into chunks and encodes it."""

    key: FrameKey
    transfer: Transfer
    source: str
    model_digest: str
    wire: torch.Tensor  # contiguous, in wire order


@dataclass(frozen=True, slots=True)
class Request:
    """A receiver lacks a transfer, or some chunks of it (empty: all of them)."""

    key: FrameKey
    transfer: int
    requester: str
    chunks: tuple[int, ...] = ()


class Channel(Protocol):
    """Carries fragments to other participants and brings those addressed to this one."""

    def send(self, receiver: str, item: Outgoing) -> int:
        """Send a transfer; returns the bytes of payload that it took, coded."""
        ...

    def receive(self, timeout_s: float) -> Fragment | None:
        """Next fragment for this participant, waiting for at most `timeout_s`; None when there is none."""
        ...

    def ask(self, source: str, request: Request) -> None:
        """Ask a sender for what is missing."""
        ...

    def serve_requests(self) -> list[Request]:
        """Send again what others ask for; returns the requests for what this participant has not sent, or forgot."""
        ...
