"""What the manager makes of outputs."""

import numpy as np
import pytest
import torch
from torch import nn

from coedge_ros.graph.loading import load_model
from coedge_ros.graph.lower import partition_model
from coedge_ros.nodes.answers import SelfCheck, best_classes, pixels_to_input, run_alone

torch.set_num_threads(1)
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Conv2d(3, 4, 3, padding=1)
        self.map = nn.Conv2d(4, 2, 3, padding=1)
        self.scores = nn.Linear(4, 5)

    def forward(self, x):
        x = self.trunk(x).relu()
        return {"map": self.map(x), "scores": self.scores(x.mean((2, 3)))}


@pytest.fixture(scope="module")
def loaded():
    torch.manual_seed(0)
    return load_model(TwoHeads())


@pytest.fixture(scope="module")
def partitioned(loaded):
    return partition_model(loaded.module, 24, 20, mean=loaded.mean, std=loaded.std, digest=loaded.digest)


def test_pixels_become_the_models_input_without_a_copy():
    tensor = pixels_to_input(PIXELS)
    assert tuple(tensor.shape) == (1, 3, 24, 20) and tensor.dtype == torch.uint8
    assert tensor[0, 2, 7, 11] == PIXELS[7, 11, 2] and tensor.data_ptr() == PIXELS.ctypes.data


def test_the_best_classes_come_first_with_label_and_probability():
    scores = torch.tensor([[0.0, 3.0, 1.0, 2.0]])
    best = best_classes({"output": scores}, ["a", "b", "c", "d"], 2)
    assert [(i, label) for i, label, _ in best] == [(1, "b"), (3, "d")]
    assert [p for _, _, p in best] == pytest.approx(scores.softmax(1)[0, [1, 3]].tolist())


@pytest.mark.parametrize(
    ("outputs", "labels", "count", "expected"),
    [
        ({"output": torch.zeros(1, 4)}, ["too", "few"], 3, ["", "", ""]),  # names of another model mean nothing
        ({"output": torch.zeros(1, 4)}, None, 9, [""] * 4),
        ({"output": torch.zeros(1, 4)}, None, 0, []),
        ({"output": torch.zeros(1, 2, 4, 4)}, None, 5, []),  # a map
        ({"output": torch.zeros(1, 4, dtype=torch.int64)}, None, 5, []),
        ({"a": torch.zeros(1, 4), "b": torch.zeros(1, 4)}, None, 5, []),
    ],
    ids=["other labels", "no labels", "none asked for", "a map", "integers", "two outputs"],
)
def test_classes_are_given_only_where_the_model_classifies(outputs, labels, count, expected):
    assert [label for _, label, _ in best_classes(outputs, labels, count)] == expected


def test_scores_that_are_no_numbers_do_no_harm():
    best = best_classes({"output": torch.full((1, 3), float("nan"))}, None, 2)
    assert len(best) == 2


def test_the_manager_alone_gives_the_whole_models_outputs_by_name(loaded, partitioned):
    outputs = run_alone(partitioned, PIXELS)
    assert set(outputs) == {"map", "scores"}
    found, whole = SelfCheck(loaded, partitioned).compare(PIXELS, outputs)
    assert found.max_abs_diff <= 1e-5 * found.scale and found.is_equal
    assert set(whole) == set(outputs)


@pytest.mark.parametrize("name", ["map", "scores"])
def test_the_self_check_sees_one_wrong_value_in_any_output(loaded, partitioned, name):
    outputs = run_alone(partitioned, PIXELS)
    wrong = outputs[name].clone(memory_format=torch.contiguous_format)
    wrong.view(-1)[-1] += 0.5
    found, whole = SelfCheck(loaded, partitioned).compare(PIXELS, {**outputs, name: wrong})
    assert found.tensor == name and not found.is_equal
    assert found.max_abs_diff == pytest.approx(0.5, rel=1e-3)
    assert found.scale == pytest.approx(float(outputs[name].abs().max()), rel=1e-4)
    assert torch.allclose(whole[name], outputs[name], atol=1e-4)  # what is given instead


@pytest.mark.parametrize("name", ["map", "scores"])
def test_an_output_that_is_no_number_is_infinitely_wrong(loaded, partitioned, name):
    outputs = run_alone(partitioned, PIXELS)
    found, _ = SelfCheck(loaded, partitioned).compare(PIXELS, {**outputs, name: outputs[name] * float("nan")})
    assert found.max_abs_diff == float("inf") and not found.is_equal


def test_the_self_check_compares_with_the_same_pixels(loaded, partitioned):
    other = PIXELS.copy()
    other[0] ^= 255
    found, _ = SelfCheck(loaded, partitioned).compare(PIXELS, run_alone(partitioned, other))
    assert found.max_abs_diff > 1e-3 * found.scale


class Mask(nn.Module):
    """Classes whose scores are as good as equal."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Conv2d(3, 2, 1, bias=False)
        with torch.no_grad():
            self.scores.weight[1] = self.scores.weight[0] * (1 + 1e-6)

    def forward(self, x):
        return self.scores(x).argmax(1)


def test_a_mask_may_differ_where_two_scores_are_as_good_as_equal_and_nowhere_else():
    torch.manual_seed(0)
    loaded = load_model(Mask())
    check = SelfCheck(loaded, partition_model(loaded.module, 24, 20, mean=loaded.mean, std=loaded.std))
    ((name, mask),) = run_alone(check.model, PIXELS).items()
    assert check.compare(PIXELS, {name: 1 - mask})[0].is_equal
    with torch.no_grad():
        loaded.module.scores.weight[1] *= -1
    check = SelfCheck(loaded, partition_model(loaded.module, 24, 20, mean=loaded.mean, std=loaded.std))
    assert check.compare(PIXELS, {name: run_alone(check.model, PIXELS)[name]})[0].is_equal
    assert not check.compare(PIXELS, {name: 1 - mask})[0].is_equal
