"""DDS security that is asked for and cannot be had: said in one line."""

import contextlib
import os
from collections.abc import Iterator

from rclpy._rclpy_pybind11 import RCLError

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
