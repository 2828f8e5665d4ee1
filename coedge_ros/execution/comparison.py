"""When a tensor that bands made is equal to the whole model's.

`max|banded - whole| <= 1e-4 * max|whole|`, with no floor; more where rows are coded on their way (`spec.codec`). A
tensor of whole numbers that were chosen by comparing floats (argmax, thresholds, rounding to pixels) cannot be held to
that: where two scores are as good as equal, rounding decides. It is held to the floats that it was chosen from instead,
see `Choice`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from coedge_ros.graph.ir import Node, NodeGraph, Ref
from coedge_ros.spec.codec import TOLERANCES, Codec

TOLERANCE = TOLERANCES[Codec.RAW]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A tensor that the cluster made, against the whole model's.

    Attributes
    ----------
    tensor, worker, stage
        What was compared, who made it and where; worker and stage are None for an output as the manager has it.
    max_abs_diff, scale : float
        max|banded - whole| over what was made, and max|whole| over all rows; NaN where the two cannot be compared.
    tolerance : float
        Difference that is no error, in parts of the scale.
    """

    tensor: str
    worker: str | None
    stage: int | None
    max_abs_diff: float
    scale: float
    tolerance: float = TOLERANCE

    @property
    def is_equal(self) -> bool:
        """Whether the difference is within the tolerance; NaN is not."""
        return self.max_abs_diff <= self.tolerance * self.scale

    @property
    def ratio(self) -> float:
        """Difference in parts of the scale; infinite for NaN, and for anything where only zeros should be."""
        if self.max_abs_diff == 0:
            return 0.0
        return self.max_abs_diff / self.scale if self.scale and self.max_abs_diff >= 0 else float("inf")

    def __str__(self) -> str:
        where = "" if self.worker is None else f" on {self.worker} after stage {self.stage}"
        return f"{self.tensor}{where}: max |diff| {self.max_abs_diff:.3g} of {self.scale:.3g}"


def compare(banded: torch.Tensor, whole: torch.Tensor) -> tuple[float, float]:
    """(max|banded - whole|, max|whole|); NaN when shapes differ.

    Equal infinities, and NaN in both, are no difference.
    """
    if banded.shape != whole.shape or banded.dtype != whole.dtype:
        return float("nan"), float("nan")
    if not whole.numel():
        return 0.0, 0.0
    same = (banded == whole) | ((banded != banded) & (whole != whole))
    difference = (_wide(banded) - _wide(whole)).abs().masked_fill_(same, 0)
    return float(difference.max()), scale_of(whole)


def scale_of(whole: torch.Tensor) -> float:
    """max|whole| over what is finite."""
    size = _wide(whole).abs()
    return float(size.masked_fill_(~size.isfinite(), 0).max()) if whole.numel() else 0.0


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.double()


_BEST = {
    "aten.argmax.default": torch.amax, "aten.max.dim[1]": torch.amax,
    "aten.argmin.default": torch.amin, "aten.min.dim[1]": torch.amin,
}  # fmt: skip
_STEPS = ("round", "floor", "ceil", "trunc", "gt", "ge", "lt", "le", "sign")
_CASTS = ("to", "_to_copy")


@dataclass(frozen=True, slots=True)
class Choice:
    """A tensor of whole numbers chosen by comparing the floats of another one.

    Attributes
    ----------
    node : Node
        The operator that chooses; only casts follow it.
    source : str
        The tensor of floats.
    """

    node: Node
    source: str

    @classmethod
    def of(cls, nodes: NodeGraph, name: str) -> Choice | None:
        """How a tensor was chosen; None for a tensor that is not, or not in a way that is known here."""
        by_name = {node.name: node for node in nodes.nodes}
        while (node := by_name.get(name)) is not None:
            source = by_name.get(node.args[0].name) if node.args and isinstance(node.args[0], Ref) else None
            if source is None or len(node.refs()) != 1:
                return None
            short = node.key.split(".")[1]
            if source.dtype.is_floating_point:
                chooses = node.key in _BEST or short in _STEPS or (short in _CASTS and not node.dtype.is_floating_point)
                return cls(node, source.name) if chooses else None
            if short not in _CASTS:
                return None
            name = source.name
        return None

    def compare(self, banded: torch.Tensor, floats: torch.Tensor, tolerance: float = TOLERANCE) -> tuple[float, float]:
        """Difference and scale: of the floats that an argmax picks, else beyond what floats within tolerance choose."""
        if self.node.key in _BEST:
            dim = self.node.args[1] if len(self.node.args) > 1 else self.node.kwargs.get("dim")
            best = _BEST[self.node.key]
            if dim is None:
                floats, banded, dim = floats.flatten(), banded.reshape(1), 0
            top = best(floats, dim, keepdim=True)
            index = banded.long().reshape(top.shape)
            if not bool(((index >= 0) & (index < floats.shape[dim])).all()):
                return float("nan"), float("nan")
            return compare(floats.gather(dim, index), top)[0], scale_of(floats)
        slack = tolerance * scale_of(floats)
        ends = [_wide(self.node.run({self.source: floats + s})) for s in (-slack, slack)]
        low, high = torch.minimum(*ends), torch.maximum(*ends)
        found = _wide(banded)
        beyond = torch.maximum(low - found, found - high).clamp(min=0)
        return float(beyond.max()), scale_of(high)
