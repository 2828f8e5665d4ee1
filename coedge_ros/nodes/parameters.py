"""Parameters of a node as one tuple of values: declared with text, unit and range, checked, read into a dict."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import rclpy.parameter
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node

from coedge_ros.errors import UserError


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a node.

    Parameters
    ----------
    name : str
        Its name; a test compares it with the keys in `config/`.
    default : bool, int, float, str, or tuple of str
        Its type is the parameter's type. An int is taken where a float is wanted.
    text : str
        One or two sentences for people.
    unit : str
        Shown in brackets after the text, "" for none.
    minimum, maximum : int or float, optional
        Inclusive limits of a number; None for no limit.
    choices : tuple of str
        The values that a text may have; empty for any.
    read_only : bool
        Cannot change after start.
    changed_by : str
        The service that changes it, with what else belongs to it; "" where it is set like any other.
    """

    name: str
    default: bool | int | float | str | tuple[str, ...]
    text: str
    unit: str = ""
    minimum: int | float | None = None
    maximum: int | float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False
    changed_by: str = ""

    def __post_init__(self):
        self.check(self.default)

    def check(self, value: Any) -> Any:
        """Return `value` in the parameter's own type.

        Raises
        ------
        UserError
            If the value has another type or is out of range. The message names the parameter and what it takes.
        """
        if isinstance(self.default, tuple):
            if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
                raise self._refusal(value, "a list of texts")
            return tuple(item for item in value if item)  # [''] is how ROS writes an empty list of texts
        if isinstance(self.default, str):
            if not isinstance(value, str):
                raise self._refusal(value, "a text")
            if self.choices and value not in self.choices:
                raise self._refusal(value, "one of " + ", ".join(self.choices))
            return value
        if isinstance(self.default, bool):
            if not isinstance(value, bool):
                raise self._refusal(value, "true or false")
            return value
        whole = isinstance(self.default, int)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise self._refusal(value, "a whole number" if whole else "a number")
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if not low <= value <= high:  # also refuses NaN
            limits = [f"at least {low}"] * (self.minimum is not None) + [f"at most {high}"] * (self.maximum is not None)
            raise self._refusal(value, " and ".join(limits) or "a number")
        return value if whole else float(value)

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        text = f"{self.text} [{self.unit}]" if self.unit else self.text
        descriptor = ParameterDescriptor(name=self.name, description=text, read_only=self.read_only)
        if self.choices:
            descriptor.additional_constraints = "one of " + ", ".join(self.choices)
        if self.minimum is None and self.maximum is None:
            return descriptor
        if isinstance(self.default, float):
            low = -math.inf if self.minimum is None else float(self.minimum)
            high = math.inf if self.maximum is None else float(self.maximum)
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            low = -(2**63) if self.minimum is None else self.minimum
            high = 2**63 - 1 if self.maximum is None else self.maximum
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
        return descriptor

    def _refusal(self, value: Any, wanted: str) -> UserError:
        unit = f" [{self.unit}]" if self.unit else ""
        return UserError(f"parameter {self.name}{unit} must be {wanted}, not {value!r}")


class Values(dict):
    """Values of a node's parameters by name, see `declare_parameters`."""

    is_storing = False

    def store(self, node: Node, changes: dict[str, Any]) -> None:
        """Change parameters that have a `changed_by`, from within the node."""
        self.is_storing = True
        try:
            node.set_parameters_atomically([rclpy.parameter.Parameter(n, value=_as_ros(v)) for n, v in changes.items()])
        finally:
            self.is_storing = False


def declare_parameters(node: Node, parameters: Iterable[Parameter]) -> Values:
    """Declare all parameters and return their values by name.

    The dict follows later changes by itself; a change that does not fit is refused with the reason in the result.

    Raises
    ------
    UserError
        If a value from the command line or a file does not fit.
    """
    known = {parameter.name: parameter for parameter in parameters}
    values = Values()
    for parameter in known.values():
        # Read the override untyped first: rclpy would refuse `10` for a float, and name neither the unit nor the range.
        node.declare_parameter(parameter.name, _as_ros(parameter.default), ParameterDescriptor(dynamic_typing=True))
        values[parameter.name] = parameter.check(node.get_parameter(parameter.name).value)
        node.undeclare_parameter(parameter.name)
        node.declare_parameter(
            parameter.name, _as_ros(values[parameter.name]), parameter.descriptor(), ignore_override=True
        )

    def numbers_as_declared(changes):
        return [
            rclpy.parameter.Parameter(change.name, value=float(change.value))
            if change.name in known and isinstance(known[change.name].default, float) and type(change.value) is int
            else change
            for change in changes
        ]

    def checked(changes) -> SetParametersResult:
        try:
            for change in changes:
                if change.name in known:
                    known[change.name].check(change.value)
                    if (service := known[change.name].changed_by) and not values.is_storing:
                        raise UserError(f"parameter {change.name} is changed by the service {service}")
        except UserError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def taken(changes) -> None:
        for change in changes:
            if change.name in known:
                values[change.name] = known[change.name].check(change.value)

    node.add_pre_set_parameters_callback(numbers_as_declared)
    node.add_on_set_parameters_callback(checked)
    node.add_post_set_parameters_callback(taken)
    return values


def _as_ros(value: Any) -> Any:
    # An empty list has no type in ROS, so an empty list of texts travels as [''].
    return (list(value) or [""]) if isinstance(value, tuple) else value
