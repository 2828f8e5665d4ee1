"""The oracle: what a cluster answers is what the whole model answers, and so is every tensor at every cut.

Equal means `max|banded - whole| <= 1e-4 * max|whole|` for each tensor, with no floor: rounding differs, because kernels
run on other shapes and batch norms are folded, and nothing else does. The whole model is the user's own module, and for
the tensors at cuts the operators of its export one by one, before any of our simplifications.

Such a comparison sees only what the weights let through. Random weights as torch draws them make maps shrink from layer
to layer until the last biases are the answer; `graph.rescale` gives weights with which one wrong row shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from coedge_ros.execution.coordinator import Usage
from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.graph.digest import model_digest
from coedge_ros.graph.ir import NodeGraph
from coedge_ros.graph.lower import PartitionedModel, partition_nodes
from coedge_ros.graph.trace import PixelInput, trace
from coedge_ros.rows.row_set import RowSet
from coedge_ros.spec.plan import PartitionPlan

TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Comparison:
    """A tensor that the cluster made, against the whole model's.

    Attributes
    ----------
    tensor, worker, stage
        What was compared, who made it and where; worker and stage are None for an output as the manager has it.
    max_abs_diff, scale : float
        max|banded - whole| over what was made, and max|whole| over all rows; NaN where exactly one of both is.
    """

    tensor: str
    worker: str | None
    stage: int | None
    max_abs_diff: float
    scale: float

    @property
    def is_equal(self) -> bool:
        return self.max_abs_diff <= TOLERANCE * self.scale

    @property
    def ratio(self) -> float:
        """Difference in parts of the scale; infinite for NaN, or for anything where zeros should be."""
        if not self.max_abs_diff == self.max_abs_diff or self.scale != self.scale:
            return float("inf")
        if self.max_abs_diff == 0:
            return 0.0
        return self.max_abs_diff / self.scale if self.scale else float("inf")

    def __str__(self) -> str:
        where = "" if self.worker is None else f" on {self.worker} after stage {self.stage}"
        return f"{self.tensor}{where}: max |diff| {self.max_abs_diff:.3g} of {self.scale:.3g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison of one or more frames found: outputs, tensors at cuts, and what workers counted."""

    outputs: tuple[Comparison, ...]
    cuts: tuple[Comparison, ...]
    usage: tuple[Usage, ...]

    @property
    def is_equal(self) -> bool:
        return all(c.is_equal for c in (*self.outputs, *self.cuts))

    @property
    def worst_output(self) -> Comparison:
        return max(self.outputs, key=lambda c: c.ratio)

    @property
    def worst_cut(self) -> Comparison | None:
        """Of the tensors at cuts the one that differs most; None when there is none (one stage, no head)."""
        return max(self.cuts, key=lambda c: c.ratio, default=None)


def compare(banded: torch.Tensor, whole: torch.Tensor) -> tuple[float, float]:
    """(max|banded - whole|, max|whole|); equal infinities and NaN at the same places do not differ."""
    if banded.shape != whole.shape:
        return float("nan"), float("nan")
    if not whole.numel():
        return 0.0, 0.0
    same = (banded == whole) | ((banded != banded) & (whole != whole))
    if whole.dtype is torch.bool:
        banded, whole = banded.to(torch.uint8), whole.to(torch.uint8)
    exact = torch.float64 if not whole.dtype.is_floating_point or whole.dtype is torch.float64 else torch.float32
    difference = (banded.to(exact) - whole.to(exact)).abs().masked_fill_(same, 0)
    scale = whole.to(exact).abs()
    scale = scale.masked_fill_(~scale.isfinite(), 0)
    return float(difference.max()), float(scale.max())


def random_frame(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A frame of noise `(height, width, 3)` uint8: every row differs from every other one."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


class Oracle:
    """The whole model, ready to be compared with clusters that run it in bands.

    Parameters
    ----------
    module : nn.Module
        The user's model, in eval mode.
    height, width : int
        Input size.
    mean, std : sequence of float
        Of the pixels, per channel.
    strict : bool
        See `partition_model`.

    Raises
    ------
    ModelError
        When it cannot be traced or split.
    """

    def __init__(
        self,
        module: nn.Module,
        height: int,
        width: int,
        mean: Sequence[float] = (0, 0, 0),
        std: Sequence[float] = (1, 1, 1),
        *,
        strict: bool = False,
    ):
        self.module, self.size = module, (height, width)
        self.mean, self.std = (torch.tensor(v, dtype=torch.float32).reshape(1, -1, 1, 1) for v in (mean, std))
        self.nodes: NodeGraph = trace(PixelInput(module, mean, std), height, width)
        self.model: PartitionedModel = partition_nodes(self.nodes, model_digest(module), strict=strict)
        self._answers: dict[bytes, tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = {}

    def frames(self, count: int = 1, seed: int = 0) -> list[np.ndarray]:
        """Noise of the model's size."""
        return [random_frame(*self.size, seed + i) for i in range(count)]

    @torch.inference_mode()
    def outputs(self, frame: np.ndarray) -> dict[str, torch.Tensor]:
        """What the user's module answers."""
        pixels = torch.from_numpy(frame).permute(2, 0, 1).unsqueeze(0).float() / 255
        answers = [a for a in tree_leaves(self.module((pixels - self.mean) / self.std)) if a is not None]
        return dict(zip(self.model.graph.output_names, answers, strict=True))

    def tensors(self, frame: np.ndarray, names: set[str]) -> dict[str, torch.Tensor]:
        """Tensors of the model, computed whole by the operators of the export as it came."""
        pixels = torch.from_numpy(frame).permute(2, 0, 1).unsqueeze(0)
        exported = {node.name for node in self.nodes.nodes}
        found = self.nodes.run(pixels, keep=names & exported)
        if ours := names - exported:  # statistics of a group norm: one operator in the export
            found |= {k: v for k, v in self.model.nodes.run(pixels, keep=ours).items() if k in ours}
        return found

    def verify(
        self,
        plan: PartitionPlan,
        frames: Sequence[np.ndarray] | None = None,
        make_cluster: Callable[..., InProcessCluster] = InProcessCluster,
    ) -> Verdict:
        """Run frames, by default one of noise, in bands and compare.

        `make_cluster(model, plan, on_tensor=...)` makes the cluster; tests make one that errs.
        """
        made: list[tuple[int, int, str, RowSet | None, torch.Tensor]] = []
        banded = make_cluster(self.model, plan, on_tensor=lambda *told: made.append(told))
        outputs: list[Comparison] = []
        cuts: list[Comparison] = []
        for frame in self.frames() if frames is None else frames:
            made.clear()
            answer = banded.run(frame)
            expected = self.outputs(frame)
            outputs += [
                Comparison(name, None, None, *compare(answer.outputs[name], whole)) for name, whole in expected.items()
            ]
            whole = self.tensors(frame, {name for _, _, name, _, _ in made})
            cuts += [self._at_cut(plan, told, whole) for told in made]
        return Verdict(tuple(outputs), tuple(cuts), answer.usage)

    def _at_cut(self, plan: PartitionPlan, told, whole: dict[str, torch.Tensor]) -> Comparison:
        worker, stage, name, rows, tensor = told
        expected = whole[name]
        if rows is not None:
            axis = self.model.graph.tensor(name).row_axis
            expected = torch.cat([expected.narrow(axis, r.start, len(r)) for r in rows], dim=axis)
        difference, _ = compare(tensor, expected)
        return Comparison(name, plan.workers[worker], stage, difference, compare(whole[name], whole[name])[1])
