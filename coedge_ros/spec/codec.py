"""Codings of rows on the wire: what they take in bytes, and how far off an answer may then be."""

from __future__ import annotations

from enum import IntEnum
from math import prod

from coedge_ros.errors import UserError
from coedge_ros.spec.tensors import ITEM_BYTES

SCALE_BYTES = 4


class Codec(IntEnum):
    """Of a transfer; the numbers are those of `msg/Fragment`. A greater one is coarser."""

    RAW = 0  # the tensor's own bytes
    FLOAT16 = 1  # IEEE half precision
    INT8 = 2  # whole numbers of -127 to 127, and a factor for each channel

    @classmethod
    def parse(cls, name: str) -> Codec:
        """The codec of a name.

        Raises
        ------
        UserError
            For a name that is none.
        """
        if name not in CODECS:
            raise UserError(f"codec {name!r} is none of {', '.join(CODECS)}")
        return cls[name.upper()]

    def __str__(self) -> str:
        return self.name.lower()


CODECS = tuple(str(codec) for codec in Codec)
# Largest |answer - whole model's answer| in parts of the largest magnitude of the whole model's answer.
TOLERANCES = {Codec.RAW: 1e-4, Codec.FLOAT16: 1e-2, Codec.INT8: 5e-2}
_ITEM_BYTES = {Codec.FLOAT16: 2, Codec.INT8: 1}


def data_bytes(codec: int, shape: tuple[int, ...], dtype: str) -> int:
    """Bytes of the values of a transfer of that shape, scales not counted."""
    return prod(shape) * _ITEM_BYTES.get(codec, ITEM_BYTES[dtype])


def scale_count(codec: int, shape: tuple[int, ...]) -> int:
    """Scales of a transfer of that shape: for INT8 one per channel, which is the last axis on the wire."""
    return shape[-1] if codec == Codec.INT8 else 0


def coded_bytes(codec: int, shape: tuple[int, ...], dtype: str) -> int:
    """Bytes that a transfer of that shape takes: values and scales."""
    return data_bytes(codec, shape, dtype) + SCALE_BYTES * scale_count(codec, shape)
