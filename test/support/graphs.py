"""Small model graphs built by hand, without torch: what the planner's tests plan for."""

from __future__ import annotations

from dataclasses import dataclass, field

from coedge_ros.rows.access import Same, Window
from coedge_ros.spec.graph import Kind, ModelGraph, Operand, Operator, Placement
from coedge_ros.spec.tensors import TensorSpec


@dataclass
class GraphBuilder:
    """Adds operators one by one; every method returns the name of what it made."""

    height: int = 32
    width: int = 32
    operators: list[Operator] = field(default_factory=list)

    def __post_init__(self):
        self.input = TensorSpec("x", (1, 3, self.height, self.width), "uint8", 2)
        self.specs = {"x": self.input}

    def _add(self, spec, kind, placement, operands, macs, **more) -> str:
        self.specs[spec.name] = spec
        self.operators.append(Operator(spec, kind, placement, tuple(operands), kind.value, "", macs, **more))
        return spec.name

    def _name(self, kind: str) -> str:
        return f"{kind}_{len(self.operators)}"

    def conv(self, source: str, channels: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> str:
        _, c, h, w = self.specs[source].shape
        padding = dilation * (kernel - 1) // 2
        reach = dilation * (kernel - 1) + 1
        h2, w2 = ((n + 2 * padding - reach) // stride + 1 for n in (h, w))
        spec = TensorSpec(self._name("conv"), (1, channels, h2, w2), "float32", 2)
        access = Window(kernel, stride, padding, dilation, h) if kernel > 1 or stride > 1 else Same()
        macs = channels * c * kernel * kernel * h2 * w2
        operands = (Operand(source, access),)
        return self._add(
            spec, Kind.WINDOW, Placement.SHARDED, operands, macs, weight_bytes=4 * channels * c * kernel**2
        )

    def pool(self, source: str, kernel: int = 2) -> str:
        _, c, h, w = self.specs[source].shape
        spec = TensorSpec(self._name("pool"), (1, c, h // kernel, w // kernel), "float32", 2)
        operands = (Operand(source, Window(kernel, kernel, 0, 1, h)),)
        return self._add(spec, Kind.WINDOW, Placement.SHARDED, operands, 0)

    def add(self, *sources: str) -> str:
        spec = self.specs[sources[0]]
        spec = TensorSpec(self._name("add"), spec.shape, spec.dtype, spec.row_axis)
        return self._add(spec, Kind.POINTWISE, Placement.SHARDED, (Operand(s, Same()) for s in sources), 0)

    def squeeze_excite(self, source: str) -> str:
        """Global mean on every worker, two small layers, and a product with the map."""
        _, c, _, _ = self.specs[source].shape
        vector = TensorSpec(self._name("mean"), (1, c, 1, 1), "float32", None)
        partial = TensorSpec(vector.name, (1, c, 1, 1), "float32", None)
        pooled = self._add(vector, Kind.REDUCE, Placement.REPLICATED, (Operand(source, Same()),), 0, partial=partial)
        gate = TensorSpec(self._name("gate"), (1, c, 1, 1), "float32", None)
        gate = self._add(gate, Kind.WHOLE, Placement.REPLICATED, (Operand(pooled, None),), c * c)
        spec = self.specs[source]
        spec = TensorSpec(self._name("mul"), spec.shape, spec.dtype, spec.row_axis)
        return self._add(spec, Kind.POINTWISE, Placement.SHARDED, (Operand(source, Same()), Operand(gate, None)), 0)

    def pool_and_classify(self, source: str, classes: int = 10) -> ModelGraph:
        """Global mean combined at the head, then a linear layer."""
        _, c, _, _ = self.specs[source].shape
        vector = TensorSpec(self._name("mean"), (1, c), "float32", None)
        partial = TensorSpec(vector.name, (1, c), "float32", None)
        pooled = self._add(vector, Kind.REDUCE, Placement.HEAD, (Operand(source, Same()),), 0, partial=partial)
        return self._linear(pooled, c, classes)

    def flatten_and_classify(self, source: str, classes: int = 10) -> ModelGraph:
        """The whole map on the head worker, as AlexNet does."""
        _, c, h, w = self.specs[source].shape
        return self._linear(source, c * h * w, classes)

    def _linear(self, source: str, features: int, classes: int) -> ModelGraph:
        spec = TensorSpec(self._name("linear"), (1, classes), "float32", None)
        kind = Kind.GATHER if self.specs[source].height else Kind.WHOLE
        out = self._add(spec, kind, Placement.HEAD, (Operand(source, None),), features * classes)
        return self.graph(out)

    def graph(self, *outputs: str) -> ModelGraph:
        operators = tuple(sorted(self.operators, key=lambda op: not op.is_trunk))
        return ModelGraph(self.input, operators, outputs, outputs, "0" * 64)


def chain(
    height: int = 32, width: int = 32, channels=(8, 16, 16, 32), strides=(1, 2, 1, 2), kernel: int = 3
) -> ModelGraph:
    """Convolutions in a row and a pooled head."""
    build = GraphBuilder(height, width)
    last = "x"
    for c, s in zip(channels, strides, strict=True):
        last = build.conv(last, c, kernel, s)
    return build.pool_and_classify(last)


def flat_chain(height: int = 32, width: int = 32) -> ModelGraph:
    """Convolutions and pooling whose last map the head needs whole."""
    build = GraphBuilder(height, width)
    last = build.conv("x", 8, 5, 2)
    last = build.pool(build.conv(last, 16))
    return build.flatten_and_classify(build.conv(last, 16))


def residual(height: int = 32, width: int = 32, blocks: int = 3) -> ModelGraph:
    """Residual blocks: a tensor that is alive over several cuts."""
    build = GraphBuilder(height, width)
    last = build.conv("x", 16, 3, 2)
    for _ in range(blocks):
        last = build.add(last, build.conv(build.conv(last, 16), 16))
    return build.pool_and_classify(last)


def excited(height: int = 32, width: int = 32) -> ModelGraph:
    """Squeeze-and-excitation: a combined result that every worker needs, so a forced cut."""
    build = GraphBuilder(height, width)
    last = build.squeeze_excite(build.conv("x", 16, 3, 2))
    return build.pool_and_classify(build.squeeze_excite(build.conv(last, 24)))


def dense(height: int = 32, width: int = 32) -> ModelGraph:
    """A map as the answer: it goes from each worker to the manager."""
    build = GraphBuilder(height, width)
    return build.graph(build.conv(build.conv(build.conv("x", 8), 8, 3, dilation=2), 4, 1))


GRAPHS = {"chain": chain, "flat_chain": flat_chain, "residual": residual, "excited": excited, "dense": dense}
