"""What the manager makes of outputs: classes, a comparison with the whole model, an answer of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from coedge_ros.execution.comparison import TOLERANCE, Choice, Comparison, compare
from coedge_ros.graph.loading import LoadedModel
from coedge_ros.graph.lower import PartitionedModel
from coedge_ros.graph.trace import PixelInput


def pixels_to_input(pixels: np.ndarray) -> torch.Tensor:
    """`(H, W, 3)` uint8 as the `(1, 3, H, W)` that the model takes, sharing memory."""
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)


def best_classes(
    outputs: dict[str, torch.Tensor], labels: Sequence[str] | None, count: int
) -> list[tuple[int, str, float]]:
    """`(id, label, probability)` of the best classes.

    Empty when the model does not classify: when its one output is not a vector of scores `(1, K)`.
    """
    if len(outputs) != 1 or count == 0:
        return []
    (scores,) = outputs.values()
    if scores.ndim != 2 or scores.shape[0] != 1 or not scores.is_floating_point():
        return []
    best = scores[0].softmax(0).topk(min(count, scores.shape[1]))
    named = labels is not None and len(labels) == scores.shape[1]
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [(i, labels[i] if named else "", p) for i, p in pairs]


@torch.inference_mode()
def run_alone(model: PartitionedModel, pixels: np.ndarray) -> dict[str, torch.Tensor]:
    """The whole model in this process: the answer when nobody is left."""
    names = dict(zip(model.graph.outputs, model.graph.output_names, strict=True))
    values = model.nodes.run(pixels_to_input(pixels), keep=set(names))
    return {names[n]: values[n] for n in model.graph.outputs}


class SelfCheck:
    """Compares answers with the user's own module, run whole from the same pixels.

    Parameters
    ----------
    loaded : LoadedModel
        The user's module.
    model : PartitionedModel
        The same model in operators: says what an output of whole numbers (argmax) was chosen from.
    """

    def __init__(self, loaded: LoadedModel, model: PartitionedModel):
        self.module = PixelInput(loaded.module, loaded.mean, loaded.std).eval()
        self.model = model

    @torch.inference_mode()
    def compare(
        self, pixels: np.ndarray, outputs: dict[str, torch.Tensor], tolerance: float = TOLERANCE
    ) -> tuple[Comparison, dict[str, torch.Tensor]]:
        """The output with the largest relative difference, infinite where one is no number; and the whole's outputs."""
        leaves = torch.utils._pytree.tree_leaves(self.module(pixels_to_input(pixels)))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        whole = dict(zip(outputs, tensors, strict=True))
        found = [
            Comparison(name, None, None, *self._difference(name, outputs, whole, pixels, tolerance), tolerance)
            for name in outputs
        ]
        return max(found, key=lambda c: c.ratio), whole

    def _difference(self, name: str, outputs, whole, pixels: np.ndarray, tolerance: float) -> tuple[float, float]:
        difference, scale = compare(outputs[name], whole[name])
        graph = self.model.graph
        if difference and not whole[name].is_floating_point():  # rounding decides where two scores are as good as equal
            chosen = Choice.of(self.model.nodes, dict(zip(graph.output_names, graph.outputs, strict=True))[name])
            if chosen is not None:
                floats = self.model.nodes.run(pixels_to_input(pixels), keep={chosen.source})[chosen.source]
                difference, scale = chosen.compare(outputs[name], floats, tolerance)
        return (math.inf, scale) if difference != difference else (difference, scale)
