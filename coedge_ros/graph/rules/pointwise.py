"""Operators whose output row i depends on row i of their inputs only: activations, arithmetic, norms over channels."""

from __future__ import annotations

import torch

from coedge_ros.graph.ir import Node, Ref
from coedge_ros.graph.rules.registry import Lowered, Value, argument, per_range, rule, take
from coedge_ros.rows.access import Same
from coedge_ros.rows.row_set import RowRange
from coedge_ros.spec.graph import Kind, Operand, Placement

_NAMES = [
    "abs",
    "neg",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log1p",
    "log10",
    "sqrt",
    "rsqrt",
    "sin",
    "cos",
    "tan",
    "tanh",
    "sinh",
    "cosh",
    "asin",
    "acos",
    "atan",
    "erf",
    "erfc",
    "sigmoid",
    "sign",
    "floor",
    "ceil",
    "round",
    "trunc",
    "frac",
    "reciprocal",
    "square",
    "relu",
    "relu6",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "hardtanh",
    "hardswish",
    "hardsigmoid",
    "leaky_relu",
    "threshold",
    "log_sigmoid",
    "hardshrink",
    "softshrink",
    "clamp",
    "clamp_min",
    "clamp_max",
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "pow",
    "maximum",
    "minimum",
    "fmod",
    "remainder",
    "floor_divide",
    "where",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "logical_not",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_not",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "_to_copy",
    "to",
    "type_as",
    "lerp",
    "addcmul",
    "addcdiv",
    "nan_to_num",
    "masked_fill",
    "isnan",
    "isinf",
    "isfinite",
    "atan2",
    "true_divide",
    "sgn",
    "zeros_like",
    "ones_like",
    "full_like",
    "prelu",
    "batch_norm",
    "logit",
    "special_expit",
    "deg2rad",
]


def sharded(values: dict[str, Value]) -> dict[str, Value]:
    """Those of the operands that have rows."""
    return {name: v for name, v in values.items() if v.placement is Placement.SHARDED}


def broadcast(node: Node, values: dict[str, Value]) -> Lowered | None:
    """Row rule of operators that broadcast: operands are aligned at their last axes."""
    from_end = {v.spec.row_axis - len(v.spec.shape) for v in sharded(values).values()}
    if len(from_end) != 1:
        return None
    (back,) = from_end
    axis = node.ndim + back
    height = node.shape[axis]
    if any(v.spec.height != height for v in sharded(values).values()):
        return None

    def rows_axis(shape) -> int | None:
        """Axis of an operand to slice by rows; None where it is broadcast over them."""
        own = len(shape) + back
        return own if own >= 0 and shape[own] == height and height > 1 else None

    operands = tuple(Operand(n, Same() if v.placement is Placement.SHARDED else None) for n, v in values.items())
    names = list(values)

    def build(rows, held):
        def make(r: RowRange):
            template, slots = list(node.args), []
            for position, value in enumerate(template):
                if isinstance(value, Ref):
                    k = names.index(value.name)
                    operand = values[value.name]
                    if operand.placement is Placement.SHARDED:
                        slots.append((position, k, take(held[k], r, operand.spec.row_axis)))
                    else:
                        slots.append((position, k, _slicer(rows_axis(operand.spec.shape), r)))
                elif isinstance(value, torch.Tensor) and value.ndim and node.key not in _CHANNEL_PARAMETERS:
                    slicer = _slicer(rows_axis(value.shape), r)
                    template[position] = slicer(value).contiguous() if slicer else value
            return call(node.target, template, dict(node.kwargs), slots)

        return per_range(rows, axis, make)

    return Lowered(Kind.POINTWISE, axis, operands, build)


def _slicer(axis: int | None, r: RowRange):
    return None if axis is None else (lambda x: x.narrow(axis, r.start, len(r)))


def call(target, template: list, kwargs: dict, slots: list[tuple[int, int, object]]):
    """Kernel that fills operands into an argument list; `slots` are (position, operand, row picker or None)."""
    if len(slots) == 1 and slots[0][2] is None and slots[0][0] == 0:
        rest = tuple(template[1:])
        if not rest and not kwargs:
            return target
        return lambda x: target(x, *rest, **kwargs)

    def kernel(*tensors):
        arguments = list(template)
        for position, k, pick in slots:
            arguments[position] = tensors[k] if pick is None else pick(tensors[k])
        return target(*arguments, **kwargs)

    return kernel


_CHANNEL_PARAMETERS = {"aten.batch_norm.default", "aten.prelu.default"}


def _register() -> None:
    for name in _NAMES:
        packet = getattr(torch.ops.aten, name, None)
        if packet is None:
            continue
        for overload in packet.overloads():
            if overload != "out" and not overload.endswith("_out"):
                rule(f"aten.{name}.{overload}")(_checked)


@rule("coedge.add_relu")
def _add_relu(node: Node, values: dict[str, Value]) -> Lowered | None:
    return broadcast(node, values)


def _checked(node: Node, values: dict[str, Value]) -> Lowered | None:
    if node.key in _CHANNEL_PARAMETERS:  # their vectors belong to axis 1
        first = next(iter(sharded(values).values()))
        if first.spec.row_axis == 1 or len(values) != 1:
            return None
    if any(isinstance(a, (list, tuple)) and any(isinstance(i, Ref) for i in a) for a in node.args):
        return None
    if any(isinstance(a, Ref) for a in node.kwargs.values()):
        return None
    return broadcast(node, values)


_register()


def rowwise(node: Node, values: dict[str, Value], out_axis: int, make_args=None) -> Lowered | None:
    """Row rule of an operator with one operand that treats every row alike; `make_args(rows) -> args` patches sizes."""
    if len(values) != 1 or not isinstance(node.args[0], Ref):
        return None
    ((name, value),) = values.items()

    def build(rows, held):
        def make(r: RowRange):
            args = list(make_args(len(r)) if make_args else node.args)
            return call(node.target, args, dict(node.kwargs), [(0, 0, take(held[0], r, value.spec.row_axis))])

        return per_range(rows, out_axis, make)

    return Lowered(Kind.POINTWISE, out_axis, (Operand(name, Same()),), build)


def only(values: dict[str, Value]) -> Value:
    """The one operand."""
    (value,) = values.values()
    return value


@rule("aten.softmax.int", "aten._softmax.default", "aten.log_softmax.int", "aten._log_softmax.default",
      "aten.cumsum.default", "aten.cumprod.default")  # fmt: skip
def _along_axis(node, values):
    value = only(values)
    dim = argument(node, 1, "dim") % node.ndim
    return None if dim == value.spec.row_axis else rowwise(node, values, value.spec.row_axis)


@rule("aten.glu.default")
def _glu(node, values):
    value = only(values)
    dim = argument(node, 1, "dim", -1) % node.ndim
    return None if dim == value.spec.row_axis else rowwise(node, values, value.spec.row_axis)


@rule("aten.layer_norm.default", "aten.rms_norm.default")
def _layer_norm(node, values):
    value = only(values)
    first_normalised = node.ndim - len(argument(node, 1, "normalized_shape"))
    return None if value.spec.row_axis >= first_normalised else rowwise(node, values, value.spec.row_axis)


@rule("aten.linear.default", "aten.matmul.default")
def _linear(node, values):
    """Over the last axis, with a constant matrix: the rows must be another axis (channels-last blocks)."""
    if len(values) != 1 or not isinstance(node.args[1], torch.Tensor) or node.args[1].ndim != 2:
        return None
    value = only(values)
    return None if value.spec.row_axis == node.ndim - 1 else rowwise(node, values, value.spec.row_axis)


@rule("aten.channel_shuffle.default", "aten.native_channel_shuffle.default", "coedge.channel_mean")
def _channel_shuffle(node, values):
    value = only(values)
    return rowwise(node, values, value.spec.row_axis) if value.spec.row_axis >= 2 else None


@rule("coedge.normalize")
def _normalize(node, values):
    """Group or instance norm with the statistics given: see `rules.reduction`."""
    (name, value), (stats, _) = values.items()

    def build(rows, held):
        def make(r: RowRange):
            pick = take(held[0], r, value.spec.row_axis)
            rest = node.args[2:]
            return lambda x, s: node.target(x if pick is None else pick(x), s, *rest)

        return per_range(rows, value.spec.row_axis, make)

    operands = (Operand(name, Same()), Operand(stats, None))
    return Lowered(Kind.POINTWISE, value.spec.row_axis, operands, build)
