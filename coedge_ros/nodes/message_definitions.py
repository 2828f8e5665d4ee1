"""Definitions of message types as text, with everything they contain: the schema "ros2msg" of MCAP files.

The form is rosbag2's: the type's own .msg file, then each type that it contains, once, after a line of 80 `=` and a
line with `MSG: package/Type` (https://mcap.dev/spec/registry#ros2msg).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from coedge_ros.errors import UserError

_PRIMITIVES = {
    "bool", "byte", "char", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
    "uint64", "string", "wstring",
}  # fmt: skip
_SEPARATOR = "=" * 80
_BOUNDS = re.compile(r"(\[.*?\]|<=\d+)")  # of arrays and of strings: int32[3], string<=20, int32[<=5]


def type_name(kind: type) -> str:
    """Full name of a generated message class, such as `sensor_msgs/msg/Image`."""
    package, middle = kind.__module__.split(".")[:2]
    return f"{package}/{middle}/{kind.__name__}"


def full_definition(name: str) -> str:
    """Text of a type such as `sensor_msgs/msg/Image`, with all types that it contains.

    Raises
    ------
    UserError
        When a .msg file is not installed.
    """
    package, _, kind = name.split("/")
    texts: dict[tuple[str, str], str] = {}
    _collect((package, kind), texts)
    (_, first), *others = texts.items()
    return first + "".join(f"\n{_SEPARATOR}\nMSG: {pkg}/{kind}\n{text}" for (pkg, kind), text in others)


def _collect(name: tuple[str, str], texts: dict[tuple[str, str], str]) -> None:
    """The type itself, and then those that it contains, depth first; each once."""
    if name in texts:
        return
    texts[name] = _msg_file(*name).read_text(encoding="utf-8")
    for line in texts[name].splitlines():
        field = _BOUNDS.sub("", line.partition("#")[0].partition(" ")[0].strip())
        if field and field not in _PRIMITIVES:
            package, _, kind = field.rpartition("/")
            _collect((package.partition("/")[0] or name[0], kind), texts)


def _msg_file(package: str, kind: str) -> Path:
    """Where a .msg file is: below the sourced prefixes, or in the environment of this interpreter."""
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p] + [sys.prefix]
    for prefix in prefixes:
        path = Path(prefix) / "share" / package / "msg" / f"{kind}.msg"
        if path.is_file():
            return path
    raise UserError(
        f"{package}/msg/{kind}.msg is in none of {', '.join(prefixes)}: install or source the ROS package {package}"
    )
