"""The oracle: what a cluster answers is what the whole model answers, and so is every tensor at every cut.

Equal means within 1e-4 of each tensor's largest value, with no floor (`comparison`): rounding differs, because kernels
run on other shapes and batch norms are folded, and nothing else does. The whole model is the user's own module, and for
the tensors at cuts the operators of its export one by one, before any of our simplifications.

Such a comparison sees only what the weights let through. Random weights as torch draws them make maps shrink from layer
to layer until the last biases are the answer; `graph.rescale` gives weights with which one wrong row shows.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from coedge_ros.execution.comparison import TOLERANCE, Choice, Comparison, compare, scale_of
from coedge_ros.execution.coordinator import Usage
from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.graph.digest import model_digest
from coedge_ros.graph.ir import NodeGraph
from coedge_ros.graph.lower import PartitionedModel, partition_nodes
from coedge_ros.graph.trace import PixelInput, trace
from coedge_ros.rows.row_set import RowSet
from coedge_ros.spec.plan import PartitionPlan

_REMEMBERED = 2  # frames of which the whole model's tensors are kept: plans and mutations are tried on the same ones
_Told = tuple[int, int, str, "RowSet | None", torch.Tensor]  # worker, stage, name, rows, tensor


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison of one or more frames found: outputs, tensors at cuts, and what workers counted."""

    outputs: tuple[Comparison, ...]
    cuts: tuple[Comparison, ...]
    usage: tuple[Usage, ...]

    @property
    def is_equal(self) -> bool:
        """Whether everything is."""
        return all(c.is_equal for c in (*self.outputs, *self.cuts))

    @property
    def worst_output(self) -> Comparison:
        """Of the outputs the one that differs most."""
        return max(self.outputs, key=lambda c: c.ratio)

    @property
    def worst_cut(self) -> Comparison | None:
        """Of the tensors at cuts the one that differs most; None when there is none (one stage, no head)."""
        return max(self.cuts, key=lambda c: c.ratio, default=None)


@dataclass(slots=True)
class _Whole:
    """The whole model's outputs and tensors of one frame, as far as they were asked for."""

    outputs: dict[str, torch.Tensor] = field(default_factory=dict)
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)


def random_frame(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A frame of noise `(height, width, 3)` uint8: every row differs from every other one."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def noise_input(
    height: int, width: int, mean: Sequence[float] = (0, 0, 0), std: Sequence[float] = (1, 1, 1), seed: int = 1000
) -> torch.Tensor:
    """Noise as the module takes it, `(1, 3, height, width)` float32, to rescale weights with.

    It has to be spread as the frames are: a deep net that is rescaled for other values amplifies rounding.
    """
    mean_, std_ = (torch.tensor(v, dtype=torch.float32).reshape(1, -1, 1, 1) for v in (mean, std))
    return (_pixels(random_frame(height, width, seed)).float() / 255 - mean_) / std_


def _pixels(frame: np.ndarray) -> torch.Tensor:
    """A frame as `(1, 3, H, W)` in that order in memory too: the user's module may take views of it."""
    return torch.from_numpy(frame).permute(2, 0, 1).contiguous().unsqueeze(0)


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
        self._by_name = {node.name: node for node in self.nodes.nodes}
        self.model: PartitionedModel = partition_nodes(self.nodes, model_digest(module), strict=strict)
        self._remembered: OrderedDict[bytes, _Whole] = OrderedDict()

    def frames(self, count: int = 1, seed: int = 0) -> list[np.ndarray]:
        """Noise of the model's size."""
        return [random_frame(*self.size, seed + i) for i in range(count)]

    def _whole(self, frame: np.ndarray) -> _Whole:
        """What is known of the whole model's answer to a frame: the last few are remembered."""
        key = hashlib.sha256(frame).digest()
        whole = self._remembered.setdefault(key, _Whole())
        self._remembered.move_to_end(key)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return whole

    @torch.inference_mode()
    def outputs(self, frame: np.ndarray) -> dict[str, torch.Tensor]:
        """What the user's module answers."""
        whole = self._whole(frame)
        if not whole.outputs:
            pixels = _pixels(frame).float() / 255
            answers = [a for a in tree_leaves(self.module((pixels - self.mean) / self.std)) if a is not None]
            whole.outputs = dict(zip(self.model.graph.output_names, answers, strict=True))
        return whole.outputs

    def tensors(self, frame: np.ndarray, names: set[str]) -> dict[str, torch.Tensor]:
        """Tensors of the model, computed whole by the operators of the export as it came."""
        whole = self._whole(frame)
        if not names <= whole.tensors.keys():
            whole.tensors = self._computed(_pixels(frame), names)
        return whole.tensors

    def _computed(self, pixels: torch.Tensor, names: set[str]) -> dict[str, torch.Tensor]:
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
        made: list[_Told] = []
        banded = make_cluster(self.model, plan, on_tensor=lambda *told: made.append(told))
        outputs: list[Comparison] = []
        cuts: list[Comparison] = []
        for frame in self.frames() if frames is None else frames:
            made.clear()
            answer = banded.run(frame)
            outputs += self.compare_outputs(answer.outputs, frame, plan.tolerance)
            cuts += self._compare_cuts(plan, made, frame)
        return Verdict(tuple(outputs), tuple(cuts), answer.usage)

    def compare_outputs(
        self, found: dict[str, torch.Tensor], frame: np.ndarray, tolerance: float = TOLERANCE
    ) -> list[Comparison]:
        """What the manager has against what the user's module answers."""
        choices = {
            name: choice
            for name, output in zip(self.model.graph.output_names, self.nodes.outputs, strict=True)
            if (choice := Choice.of(self.nodes, output))
        }
        floats = self.tensors(frame, {c.source for c in choices.values()}) if choices else {}
        compared = []
        for name, whole in self.outputs(frame).items():
            difference, scale = compare(found[name], whole)
            if difference and name in choices:
                difference, scale = choices[name].compare(found[name], floats[choices[name].source], tolerance)
            compared.append(Comparison(name, None, None, difference, scale, tolerance))
        return compared

    def _compare_cuts(self, plan: PartitionPlan, made: list[_Told], frame: np.ndarray) -> list[Comparison]:
        """What workers made against the export, run whole."""
        names = {name for _, _, name, _, _ in made}
        choices = {name: choice for name in names if (choice := Choice.of(self.nodes, name))}
        whole = self.tensors(frame, names | {c.source for c in choices.values()})
        scales = {name: scale_of(whole[name]) for name in names}
        compared = []
        for worker, stage, name, rows, tensor in made:
            difference, _ = compare(tensor, self._rows(name, whole[name], rows))
            scale = scales[name]
            if difference and name in choices:
                source = choices[name].source
                difference, scale = choices[name].compare(
                    tensor, self._rows(source, whole[source], rows), plan.tolerance
                )
            compared.append(Comparison(name, plan.workers[worker], stage, difference, scale, plan.tolerance))
        return compared

    def _rows(self, name: str, whole: torch.Tensor, rows: RowSet | None) -> torch.Tensor:
        """The rows of a tensor that a band holds."""
        if rows is None:
            return whole
        while name not in self.model.graph.index:  # what simplify left out does nothing to its operand
            name = self._by_name[name].args[0].name
        axis = self.model.graph.tensor(name).row_axis
        return torch.cat([whole.narrow(axis, r.start, len(r)) for r in rows], dim=axis)
