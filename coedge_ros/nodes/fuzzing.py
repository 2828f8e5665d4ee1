"""Broken ROS messages by the type of their fields: made from nothing, or from a good one by changing some of it."""

from __future__ import annotations

import array
import copy
import math
import random
import re
from typing import Any

_WHOLE = re.compile(r"(u?)int(8|16|32|64)")
_SEQUENCE = re.compile(r"sequence<(.+?)(?:, *\d+)?>|(.+)\[\d+\]")
_CODES = {"uint8": "B", "int8": "b", "uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "uint64": "Q",
          "int64": "q", "float": "f", "double": "d"}  # fmt: skip
_FLOATS = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-38, 3e38)
_TEXTS = (
    "", "\x00\x07\x1b[2J\r\n", "x" * 5000, "../../etc/passwd", "%s%n{0}", "\u00fc" * 40, "a b", "manager", "worker_1",
    "ghost", "0" * 64, "float32", "__class__", "rgb8", "yuv422_yuy2",
)  # fmt: skip
_FAR = (
    2**31 - 1
)  # numbers of frames and plans that a run does not reach: a forgery that fits in all things cannot be told


class Fuzzer:
    """Makes broken messages.

    Parameters
    ----------
    rng : random.Random
        Seeded: the same seed gives the same messages.
    most_bytes : int
        Longest `uint8[]`, but for a rare one ten times as long.
    """

    def __init__(self, rng: random.Random, most_bytes: int = 4096):
        self.rng, self.most_bytes = rng, most_bytes

    def changed(self, good: Any) -> Any:
        """A copy of a good message in which up to four fields are broken, at least one."""
        fields = good.get_fields_and_field_types()
        message = copy.copy(good)
        for name in self.rng.sample(sorted(fields), min(self.rng.randint(1, 4), len(fields))):
            value = getattr(good, name)
            is_damaged = isinstance(value, array.array) and value.typecode == "B" and value and self.rng.random() < 0.5
            setattr(message, name, self._damaged(value) if is_damaged else self.value(fields[name]))
        return message

    def _damaged(self, good: array.array) -> array.array:
        """Bytes that begin like good ones, cut off or with some changed: what a decoder takes for its own."""
        cut = len(good) if self.rng.random() < 0.5 else self.rng.randrange(len(good))
        data = good[:cut]
        for _ in range(self.rng.randint(1, 8) if data else 0):
            data[self.rng.randrange(len(data))] = self.rng.randrange(256)
        return data

    def random(self, kind: type) -> Any:
        """A message of a type whose every field is broken."""
        return kind(**{name: self.value(of) for name, of in kind.get_fields_and_field_types().items()})

    def value(self, kind: str) -> Any:
        """A value that fits a field's type and hardly anything else."""
        rng = self.rng
        if whole := _WHOLE.fullmatch(kind):
            bits = int(whole[2])
            low, high = (0, 2**bits - 1) if whole[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            return rng.choice((0, low, high, high - 1, rng.randint(min(_FAR, high // 2), high)))
        if kind in ("float", "double"):
            return rng.choice((*_FLOATS, rng.gauss(0.0, 1e3)))
        if kind == "boolean":
            return rng.random() < 0.5
        if kind == "string":
            return rng.choice(_TEXTS)
        if sequence := _SEQUENCE.fullmatch(kind):
            return self._sequence(sequence[1] or sequence[2])
        return self.random(message_type(kind))

    def _sequence(self, kind: str) -> Any:
        rng = self.rng
        if kind == "uint8":
            size = rng.choice((0, 1, rng.randint(0, self.most_bytes), rng.randint(0, self.most_bytes)))
            return array.array("B", rng.randbytes(size * (10 if rng.random() < 0.01 else 1)))
        values = [self.value(kind) for _ in range(rng.choice((0, 1, 3, rng.randint(0, 60))))]
        return array.array(_CODES[kind], values) if kind in _CODES else values


def message_type(name: str) -> type:
    """Class of a message type: `std_msgs/Header` or `std_msgs/msg/Header`."""
    import importlib

    package, *_, short = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), short)
