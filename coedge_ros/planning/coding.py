"""What coarser codecs save on links and cost processors, and the coarsest that pays on each link.

Coding takes processor time at both ends, so many multiply-accumulates per message and per byte of float32 (measured,
`docs/codecs.md`), at the speed that a worker has for its model: a slow processor codes slowly too. Only activations
between workers are coded, see `spec.derivation`.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from coedge_ros.spec.codec import Codec, coded_bytes, data_bytes
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.schedule import Transfer
from coedge_ros.spec.tensors import TensorSpec

_ENCODE = {Codec.RAW: (0.0, 0.0), Codec.FLOAT16: (3e5, 2.5), Codec.INT8: (9e5, 4.0)}  # per message, per byte
_DECODE = {Codec.RAW: (0.0, 0.0), Codec.FLOAT16: (5e4, 1.0), Codec.INT8: (1e5, 1.5)}


def coding_macs(transfer: Transfer) -> tuple[float, float]:
    """What encoding and decoding a transfer costs, in multiply-accumulates."""
    size = data_bytes(Codec.RAW, transfer.wire_shape, transfer.dtype)
    return tuple(fixed + each * size for fixed, each in (_ENCODE[transfer.codec], _DECODE[transfer.codec]))


class Coding:
    """Codecs of the links between N workers.

    Parameters
    ----------
    coarsest : Codec
        Coarsest that the user allows.
    speed : ndarray, shape (N,)
        Multiply-accumulates per second.
    s_per_byte : ndarray, shape (N, N)
        Of the links.
    everywhere : bool
        On every link, whether it pays or not.

    Attributes
    ----------
    codecs : ndarray of int, shape (N, N)
        For each link the allowed codec with which large transfers take least time, coding included.
    ratio : ndarray, shape (N, N)
        Bytes on the wire per byte of float32, scales not counted.
    """

    def __init__(self, coarsest: Codec, speed: np.ndarray, s_per_byte: np.ndarray, everywhere: bool = False):
        self.everywhere = everywhere
        allowed = [codec for codec in Codec if codec <= coarsest]
        seconds = [
            s_per_byte * _ratio(c) + _ENCODE[c][1] / speed[:, None] + _DECODE[c][1] / speed[None, :] for c in allowed
        ]
        best = np.full(s_per_byte.shape, int(coarsest)) if everywhere else np.argmin(seconds, axis=0)
        self._set(np.where(np.eye(len(speed), dtype=bool), Codec.RAW, best), speed)

    def _set(self, codecs: np.ndarray, speed: np.ndarray) -> None:
        self.codecs, self.speed = codecs, speed
        self.ratio = np.array([_ratio(c) for c in Codec])[codecs]
        self._encode, self._decode = (np.array([costs[c] for c in Codec])[codecs] for costs in (_ENCODE, _DECODE))

    def only(self, workers: np.ndarray) -> Coding:
        """The same links of just these workers."""
        part = copy.copy(self)
        part._set(self.codecs[np.ix_(workers, workers)], self.speed[workers])
        return part

    def of(self, plan: PartitionPlan) -> PartitionPlan:
        """The plan with these codecs; it must be for these workers."""
        return replace(plan, codecs=tuple(tuple(Codec(c) for c in row) for row in self.codecs))

    def sizes(self, tensor: TensorSpec, rows: np.ndarray) -> np.ndarray:
        """Bytes of each transfer of `rows` rows, shape (B, N, N), as `spec.derivation` has them."""
        row, none = (
            np.array([coded_bytes(c, tensor.wire_shape(n), tensor.dtype) for c in Codec])[self.codecs] for n in (1, 0)
        )
        return rows * (row - none) + (rows > 0) * none

    def seconds(self, tensor: TensorSpec, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Processor time of coding these transfers at their senders and at their receivers, shape (B, N)."""
        sent, size = rows > 0, rows * tensor.row_bytes
        encode, decode = (sent * c[..., 0] + size * c[..., 1] for c in (self._encode, self._decode))
        return encode.sum(axis=2) / self.speed, decode.sum(axis=1) / self.speed


def _ratio(codec: Codec) -> float:
    return data_bytes(codec, (1,), "float32") / data_bytes(Codec.RAW, (1,), "float32")
