"""The Python interface for other people's code."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from coedge_ros import api
from coedge_ros.errors import UserError

SIZE = (48, 40)


def small() -> nn.Module:
    """A net whose two convolutions need rows of the neighbours."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 5, stride=2, padding=2)).eval()


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def whole(module: nn.Module, pixels: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return module(torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255)


def test_importing_it_imports_no_ros():
    code = "import sys, coedge_ros.api; print(sorted({'rclpy', 'sensor_msgs'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_a_plan_is_explained_and_runs():
    module = small()
    outcome = api.plan(module, SIZE, objective="latency", planner="coedge", macs_per_s=1e8)
    assert outcome.is_feasible and outcome.explanation and outcome.predicted.latency_s > 0
    (output,) = api.Banded(module, SIZE, outcome).run(image()).outputs.values()
    torch.testing.assert_close(output, whole(module, image()))


def test_shares_are_who_computes_what_and_the_answers_are_the_whole_models():
    module = small()
    images = [image(1), image(2)]
    answers = list(api.run(module, images, workers=[0.5, 0.25, 0.25], size=SIZE))
    for pixels, answer in zip(images, answers, strict=True):
        torch.testing.assert_close(next(iter(answer.outputs.values())), whole(module, pixels))
    assert [usage.rows[0] for usage in answers[0].usage] == [(0, 24), (24, 36), (36, 48)]


def test_verify_compares_outputs_and_cuts():
    verdict = api.verify(small(), SIZE, workers=3)
    assert verdict.is_equal and verdict.cuts and verdict.worst_output.max_abs_diff < 1e-4


def test_a_model_that_does_not_classify_has_no_classes():
    banded = api.Banded(small(), SIZE)
    assert banded.classes(banded.run(image())) == []


@pytest.mark.parametrize(
    "call,message",
    [
        (lambda: api.verify(small(), SIZE, workers=0), "1 or more"),
        (lambda: api.verify(small(), SIZE, workers=[1, -1]), "shares >= 0"),
        (lambda: api.verify(small()), "size="),
        (lambda: api.Banded(small(), (48,)), "rows, columns"),
        (lambda: api.plan(small(), SIZE, planner="fuse", macs_per_s=1e8), "did you mean 'fused'"),
        (lambda: api.plan(small(), SIZE, "no_such_file.yaml"), "no_such_file.yaml"),
        (lambda: api.Banded(small(), SIZE).run(image()[:-1]), "convert or resize"),
        (lambda: api.Banded(small(), (64, 40), api.Banded(small(), SIZE).plan), "does not fit"),
    ],
)
def test_a_mistake_is_told_with_what_to_change(call, message):
    with pytest.raises(UserError, match=message):
        call()
