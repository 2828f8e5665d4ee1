"""DDS security that is asked for and cannot be had: said in one line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from rclpy._rclpy_pybind11 import RCLError
from rclpy.node import Node

from coedge_ros.errors import UserError


@contextlib.contextmanager
def security_told() -> Iterator[None]:
    """Around the making of a context and of nodes.

    Raises
    ------
    UserError
        When ROS refuses and security is asked for, with the cause as far as ROS says it.
    """
    try:
        yield
    except RCLError as error:
        if os.environ.get("ROS_SECURITY_ENABLE") != "true":
            raise
        text = " ".join(str(error).split())
        if "security libraries" in text:
            cause = "this Fast DDS was built without security (the wheels are): use a ROS 2 installation that has it"
        elif not os.environ.get("ROS_SECURITY_KEYSTORE"):
            cause = "ROS_SECURITY_KEYSTORE is not set: set it to the folder of `ros2 security create_keystore`"
        else:
            cause = f"the keystore or the node's enclave does not fit ({text}): make it again"
        raise UserError(
            f"ROS_SECURITY_ENABLE asks for security, but {cause}, or unset it; see docs/security.md"
        ) from None


def unsecured(environment: Mapping[str, str], arguments: Sequence[str]) -> str:
    """Why a process that asks for security runs without it; empty when it does not ask, or has its keys.

    ROS itself says nothing of it: unless the strategy is `Enforce`, it goes on unsecured where it finds no enclave.

    Parameters
    ----------
    environment : mapping of str to str
        Of the process.
    arguments : sequence of str
        Its command line, `--enclave` in it.
    """
    if environment.get("ROS_SECURITY_ENABLE") != "true" or environment.get("ROS_SECURITY_STRATEGY") == "Enforce":
        return ""
    keystore = environment.get("ROS_SECURITY_KEYSTORE", "")
    if not keystore:
        return "ROS_SECURITY_KEYSTORE is not set"
    enclave = environment.get("ROS_SECURITY_ENCLAVE_OVERRIDE", "") or _enclave(arguments)
    folder = Path(keystore, "enclaves", enclave.strip("/"))
    return "" if folder.is_dir() else f"there is no folder {folder} (enclave {enclave})"


def _enclave(arguments: Sequence[str]) -> str:
    """Enclave of a command line: the last one named, `/` when none is."""
    named = [after for word, after in pairwise(arguments) if word in ("-e", "--enclave")]
    return named[-1] if named else "/"


def warn_if_unsecured(node: Node, args: Sequence[str] | None) -> None:
    """Log a warning when security is asked for and this process runs without it.

    Parameters
    ----------
    args : sequence of str or None
        As for `rclpy.init`: None for the process's own command line.
    """
    if reason := unsecured(os.environ, sys.argv if args is None else args):
        node.get_logger().warning(
            f"runs WITHOUT security, although ROS_SECURITY_ENABLE asks for it: {reason}. Set "
            "ROS_SECURITY_STRATEGY=Enforce to refuse this; see docs/security.md"
        )
