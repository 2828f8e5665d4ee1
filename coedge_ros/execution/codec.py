"""Rows to bytes and back: as they are, in half precision, or in 8 bits with a factor for each channel.

A tensor that a codec cannot hold (with an infinity or NaN, or a magnitude beyond 65504 in half precision) is sent raw,
and says so: nothing is clamped. Otherwise, for each value x of a channel whose largest magnitude is m:

    FLOAT16   |decoded - x| <= max(|x| / 2048, 2**-25)
    INT8      |decoded - x| <= m / 254 and a rounding error
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from coedge_ros.errors import ProtocolError
from coedge_ros.spec.codec import Codec, scale_count

_MOST = 127
_LEAST_SCALE = float(np.finfo(np.float32).tiny)  # a channel of smaller values is as good as zero
_MOST_SCALE = float(np.finfo(np.float32).max) / _MOST * (1 - 1e-6)


@dataclass(frozen=True, slots=True)
class Coded:
    """A tensor as it travels: values as a one-dimensional uint8 array, and for INT8 a float32 scale per channel."""

    codec: Codec
    data: np.ndarray
    scale: np.ndarray

    @property
    def size_bytes(self) -> int:
        """What it takes on the wire."""
        return self.data.nbytes + self.scale.nbytes


_NO_SCALE = np.zeros(0, np.float32)


def encode(wire: torch.Tensor, codec: Codec) -> Coded:
    """Code a contiguous CPU tensor in wire order; RAW shares its memory."""
    if codec is Codec.FLOAT16:
        half = wire.half()
        if half.abs().amax().isfinite():
            return Coded(codec, to_bytes(half), _NO_SCALE)
    elif codec is Codec.INT8:
        values = wire.reshape(-1, wire.shape[-1])
        scale = values.abs().amax(0).div_(_MOST)
        if scale.amax() <= _MOST_SCALE:  # not for NaN
            scale[scale < _LEAST_SCALE] = 0.0
            # 1 / 0 makes NaN of 0 * inf: a scale of infinity gives the zeros that are meant
            factor = torch.where(scale > 0, scale, torch.inf).reciprocal_()
            return Coded(codec, to_bytes(values.mul(factor).round_().to(torch.int8)), scale.numpy())
    return Coded(Codec.RAW, to_bytes(wire), _NO_SCALE)


def decode(codec: int, data, scale: Sequence[float], dtype: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The tensor; RAW shares the memory of `data`, a writable buffer of the size that codec and shape say."""
    if codec == Codec.FLOAT16:
        return _from_bytes(data, "float16", shape).float()
    if codec == Codec.INT8:
        return _from_bytes(data, "int8", shape).float().mul_(torch.from_numpy(np.asarray(scale, np.float32)))
    return _from_bytes(data, dtype, shape)


def check_scale(codec: int, shape: tuple[int, ...], scale: Sequence[float]) -> None:
    """Raise ProtocolError for scales that no sender of such a tensor makes."""
    if len(scale) != scale_count(codec, shape):
        raise ProtocolError("scale", f"{len(scale)} scales, not {scale_count(codec, shape)}")
    if len(scale):
        factors = np.asarray(scale, np.float32)
        if not ((factors >= 0) & (factors <= _MOST_SCALE)).all():  # also for NaN
            raise ProtocolError("scale", "a scale is negative, too large or no number")


def to_bytes(wire: torch.Tensor) -> np.ndarray:
    """Bytes of a contiguous CPU tensor, as a one-dimensional uint8 array that shares its memory."""
    # as_strided: reshape keeps the odd stride of a tensor of one value, which cannot be viewed as bytes
    return wire.detach().as_strided((wire.numel(),), (1,)).view(torch.uint8).numpy()


def _from_bytes(data, dtype: str, shape: Sequence[int]) -> torch.Tensor:
    return torch.frombuffer(data, dtype=getattr(torch, dtype)).reshape(tuple(shape))
