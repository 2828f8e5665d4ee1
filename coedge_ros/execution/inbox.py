"""Checks arriving fragments against the schedule, puts chunks together and keeps them until they are used.

Nothing is allocated for a fragment that does not fit a schedule that is prepared here, so what can be held is bounded
by `max_frames` times what the plan says a frame needs.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from coedge_ros.errors import ProtocolError
from coedge_ros.execution.codec import check_scale, decode
from coedge_ros.execution.fragment import PROTOCOL_VERSION, FrameKey
from coedge_ros.spec.codec import SCALE_BYTES, Codec, data_bytes
from coedge_ros.spec.schedule import Schedule, Transfer

Arrived = dict[int, torch.Tensor]  # transfer index -> tensor in wire order


@dataclass(slots=True)
class _Chunks:
    """What has come of a transfer in chunks."""

    count: int
    codec: int
    scale: Sequence[float] = ()
    bytes: int = 0
    data: dict[int, object] = field(default_factory=dict)


class Inbox:
    """Fragments addressed to one participant.

    Parameters
    ----------
    name : str
        This participant's name in the plans, or `manager`.
    max_frames : int
        Frames that may be under way at the same time on a worker; a fragment of one more is refused.
    is_manager : bool
        The manager's inbox takes fragments only of frames that the manager started.
    """

    def __init__(self, name: str, max_frames: int = 8, is_manager: bool = False):
        self.name, self.max_frames, self.is_manager = name, max_frames, is_manager
        self.rejected: Counter[str] = Counter()
        self.last_rejection = ""
        self.bytes_in = 0
        self.frames: dict[FrameKey, Arrived] = {}
        self.bytes_of: Counter[FrameKey] = Counter()
        self._chunks: dict[tuple[FrameKey, int], _Chunks] = {}
        self._schedules: dict[tuple[int, int], Schedule] = {}
        self._finished: deque[FrameKey] = deque(maxlen=256)

    def prepare(self, session: int, epoch: int, schedule: Schedule) -> None:
        """From now on fragments of this plan are accepted."""
        self._schedules[(session, epoch)] = schedule

    def release(self, session: int, epoch: int) -> None:
        """Forget a plan and the frames that came under it."""
        self._schedules.pop((session, epoch), None)
        for key in [k for k in self.frames if (k.session, k.epoch) == (session, epoch)]:
            self.finish(key)

    def release_before(self, session: int, epoch: int) -> None:
        """Forget the plans of a session that are older than `epoch`."""
        for old in [e for s, e in self._schedules if s == session and e < epoch]:
            self.release(session, old)

    def expect(self, key: FrameKey) -> bool:
        """Open a frame of which nothing has come; False when its plan is unknown, it is over, or too many are open."""
        if (key.session, key.epoch) not in self._schedules or key in self._finished or key in self.frames:
            return False
        if len(self.frames) >= self.max_frames:
            return False
        self.frames[key] = {}
        return True

    def missing_chunks(self, key: FrameKey, transfer: int) -> tuple[int, ...]:
        """Chunks that lack of a transfer that came in part; empty for one of which nothing came."""
        chunks = self._chunks.get((key, transfer))
        return () if chunks is None else tuple(i for i in range(chunks.count) if i not in chunks.data)

    def finish(self, key: FrameKey) -> None:
        """Forget a frame; what still comes of it is stale."""
        self.frames.pop(key, None)
        self.bytes_of.pop(key, None)
        for chunk_key in [k for k in self._chunks if k[0] == key]:
            del self._chunks[chunk_key]
        self._finished.append(key)

    def accept(self, fragment) -> FrameKey | None:
        """Take one fragment (a `Fragment`, or the ROS message of that name); None when it was refused and counted."""
        try:
            return self._accept(fragment)
        except ProtocolError as error:
            self.rejected[error.reason] += 1
            self.last_rejection = str(error)
            return None

    def _accept(self, f) -> FrameKey:
        if f.protocol_version != PROTOCOL_VERSION:
            raise ProtocolError(
                "protocol_version", f"{_show(f.source)} speaks {f.protocol_version}, not {PROTOCOL_VERSION}"
            )
        schedule = self._schedules.get((f.session, f.epoch))
        if schedule is None:
            known = any(session == f.session for session, _ in self._schedules)
            raise ProtocolError("unknown_epoch" if known else "unknown_session", f"session {f.session} epoch {f.epoch}")
        key = FrameKey(f.session, f.epoch, f.frame)
        if key in self._finished:
            raise ProtocolError("stale_frame", str(key))
        transfer = self._checked_transfer(schedule, f)
        arrived = self.frames.get(key)
        if arrived is None:
            if self.is_manager:  # the manager opens its frames itself
                raise ProtocolError("unknown_frame", str(key))
            if len(self.frames) >= self.max_frames:
                raise ProtocolError("too_many_frames", f"{key}: {len(self.frames)} are under way")
            arrived = {}
        if transfer.index in arrived:
            raise ProtocolError("duplicate", f"transfer {transfer.index} of {key}")
        if f.chunk_count == 1:
            arrived[transfer.index] = _decoded(transfer, f.codec, f.data, f.scale)
        else:
            self._take_chunk(key, transfer, f, arrived)
        self.frames[key] = arrived  # only now: what was refused opens no frame
        size = len(f.data) + SCALE_BYTES * len(f.scale)
        self.bytes_in += size
        self.bytes_of[key] += size
        return key

    def _checked_transfer(self, schedule: Schedule, f) -> Transfer:
        if f.transfer >= len(schedule.transfers):
            raise ProtocolError("unknown_transfer", f"{f.transfer} of {len(schedule.transfers)}")
        transfer = schedule.transfers[f.transfer]
        target, source = schedule.name_of(transfer.target), schedule.name_of(transfer.source)
        if target != self.name:
            raise ProtocolError("wrong_receiver", f"transfer {transfer.index} is for {target}")
        if f.source != source:
            raise ProtocolError("wrong_source", f"transfer {transfer.index} comes from {source}, not {_show(f.source)}")
        if f.model_digest != schedule.graph.digest:
            raise ProtocolError(
                "model_digest", f"{source} has {_show(f.model_digest)}, here is {schedule.graph.digest[:12]}"
            )
        rows = (transfer.rows.start, transfer.rows.stop) if transfer.rows else (0, 0)
        if (f.row_start, f.row_stop) != rows:
            raise ProtocolError("rows", f"transfer {transfer.index} has rows {rows}, not {(f.row_start, f.row_stop)}")
        if tuple(f.shape) != transfer.wire_shape or f.dtype != transfer.dtype:
            raise ProtocolError("shape", f"transfer {transfer.index} is {transfer.wire_shape} {transfer.dtype}")
        if f.codec not in (transfer.codec, Codec.RAW):  # raw: values that the codec cannot hold
            raise ProtocolError("codec", f"transfer {transfer.index} is {transfer.codec}, not codec {f.codec}")
        wanted = _data_bytes(transfer, f.codec)
        if not 0 < f.chunk_count <= max(1, wanted) or not 0 <= f.chunk < f.chunk_count:
            raise ProtocolError("chunk", f"{f.chunk} of {f.chunk_count}")
        check_scale(f.codec if f.chunk == 0 else Codec.RAW, transfer.wire_shape, f.scale)
        if f.chunk_count == 1 and len(f.data) != wanted:
            raise ProtocolError("size", f"transfer {transfer.index} has {wanted} bytes, not {len(f.data)}")
        return transfer

    def _take_chunk(self, key: FrameKey, transfer: Transfer, f, arrived: Arrived) -> None:
        """Keep a chunk; refused ones leave what has come before untouched, and no more than the transfer is held."""
        chunks = self._chunks.get((key, transfer.index)) or _Chunks(f.chunk_count, f.codec)
        if f.chunk_count != chunks.count:
            raise ProtocolError("chunk", f"{f.chunk} of {f.chunk_count}, others of {chunks.count}")
        if f.codec != chunks.codec:
            raise ProtocolError("codec", f"chunk {f.chunk} of transfer {transfer.index} is {f.codec}, others are not")
        if f.chunk in chunks.data:
            raise ProtocolError("duplicate", f"chunk {f.chunk} of transfer {transfer.index} of {key}")
        total = chunks.bytes + len(f.data)
        is_last = len(chunks.data) + 1 == chunks.count
        wanted = _data_bytes(transfer, chunks.codec)
        if total > wanted or (is_last and total != wanted):
            raise ProtocolError("size", f"chunks of transfer {transfer.index} make {total} of {wanted} bytes")
        self._chunks[(key, transfer.index)] = chunks
        chunks.data[f.chunk] = f.data
        chunks.bytes = total
        if f.chunk == 0:
            chunks.scale = f.scale
        if is_last:
            del self._chunks[(key, transfer.index)]
            arrived[transfer.index] = _decoded(transfer, chunks.codec, _joined(chunks, total), chunks.scale)


def _data_bytes(transfer: Transfer, codec: int) -> int:
    return data_bytes(codec, transfer.wire_shape, transfer.dtype)


def _decoded(transfer: Transfer, codec: int, data, scale: Sequence[float]) -> torch.Tensor:
    return decode(codec, data, scale, transfer.dtype, transfer.wire_shape)


def _joined(chunks: _Chunks, size_bytes: int) -> np.ndarray:
    """All chunks behind each other, each copied once."""
    whole = np.empty(size_bytes, np.uint8)
    start = 0
    for i in range(chunks.count):
        data = np.frombuffer(chunks.data[i], np.uint8)
        whole[start : start + len(data)] = data
        start += len(data)
    return whole


def _show(text: str) -> str:
    """A name from the wire, fit for a log line."""
    return repr(text[:32])
