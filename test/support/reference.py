"""The whole model in the test's own process, and weights under which mistakes show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from coedge_ros.execution.verification import noise_input
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.rescale import rescale_to_unit_variance
from coedge_ros.graph.trace import PixelInput
from coedge_ros.msg import InferenceResult

TOLERANCE = 1e-4  # of the largest magnitude of the whole model's answer, without a floor


def write_rescaled_weights(folder: Path, model: str, height: int, width: int) -> Path:
    """A file of weights with unit variance at the output of every layer, for a zoo name or `module:factory`."""
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        loaded = load_model(model)
    module = loaded.module
    rescale_to_unit_variance(module, noise_input(height, width, loaded.mean, loaded.std))
    path = folder / f"{model.partition(':')[0]}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, path)
    return path


class Reference:
    """The user's own module, run whole from the same pixels as the cluster."""

    def __init__(self, model: str, weights: Path | None, height: int, width: int):
        torch.set_num_threads(1)
        self.height, self.width = height, width
        loaded = load_model(model, weights=weights)
        self.module = PixelInput(loaded.module, loaded.mean, loaded.std).eval()

    def frames(self, count: int, seed: int = 0) -> list[np.ndarray]:
        """Noise: every row differs from every other."""
        random = np.random.default_rng(seed)
        return [random.integers(0, 256, (self.height, self.width, 3), dtype=np.uint8) for _ in range(count)]

    @torch.inference_mode()
    def answer(self, pixels: np.ndarray) -> torch.Tensor:
        return self.module(torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0))

    def difference(self, result: InferenceResult, pixels: np.ndarray) -> float:
        """Largest difference of a result's tensor to the whole model's, in units of the whole's largest magnitude."""
        (message,) = result.tensors
        mine = torch.frombuffer(message.data, dtype=getattr(torch, message.dtype)).reshape(tuple(message.shape))
        whole = self.answer(pixels)
        assert mine.shape == whole.shape
        return float((mine - whole).abs().max() / whole.abs().max())

    def is_equal(self, result: InferenceResult, pixels: np.ndarray) -> bool:
        return self.difference(result, pixels) <= TOLERANCE
