"""The digest sees names, shapes, types and every byte, and nothing else."""

import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from coedge_ros.graph.digest import model_digest
from coedge_ros.graph.loading import load_model


def _net():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    for tensor in net.state_dict().values():
        tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
    return net


def test_equal_weights_have_equal_digests():
    assert model_digest(_net()) == model_digest(_net())
    assert len(model_digest(_net())) == 64


def test_the_digest_is_the_same_for_ever():
    assert model_digest(_net()) == "7f0857e8e8cd6ba890cea043e02f6992cb1568c9f8283501e365f086890ab68e"


@pytest.mark.parametrize("key", ["0.weight", "0.bias", "1.running_var", "1.num_batches_tracked"])
def test_any_changed_number_changes_it(key):
    net = _net()
    net.state_dict()[key].view(-1)[-1] += 1
    assert model_digest(net) != model_digest(_net())


def test_shape_type_and_name_change_it():
    digests = {
        model_digest(nn.ParameterDict({name: nn.Parameter(tensor, requires_grad=False)}))
        for name, tensor in {
            "a": torch.zeros(2, 3),
            "b": torch.zeros(2, 3),
            "a ": torch.zeros(3, 2),
            "a  ": torch.zeros(2, 3, dtype=torch.float64),
        }.items()
    }
    assert len(digests) == 4
    same_name = [
        model_digest(nn.ParameterDict({"a": nn.Parameter(tensor, requires_grad=False)}))
        for tensor in (torch.zeros(2, 3), torch.zeros(3, 2), torch.zeros(6), torch.zeros(6, dtype=torch.int32))
    ]
    assert len(set(same_name)) == 4


def test_storage_order_gradients_and_mode_do_not_change_it():
    net = _net().to(memory_format=torch.channels_last).eval().requires_grad_(False)
    assert model_digest(net) == model_digest(_net())


def test_all_types_of_numbers_are_read():
    types = (torch.float16, torch.bfloat16, torch.bool, torch.int8, torch.complex64)
    net = nn.Module()
    for index, dtype in enumerate(types):
        net.register_buffer(f"b{index}", torch.ones(3, dtype=dtype))
        net.register_buffer(f"scalar{index}", torch.ones((), dtype=dtype))
    net.register_buffer("empty", torch.empty(0, 3))
    assert model_digest(net)


def test_another_process_computes_the_same():
    code = "from coedge_ros.graph.loading import load_model; print(load_model('shufflenet_v2_x1_0', seed=3).digest)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=True)
    assert other.stdout.strip() == load_model("shufflenet_v2_x1_0", seed=3).digest


def test_fourteen_megabytes_take_a_moment():
    module = load_model("mobilenet_v2").module
    start = time.perf_counter()
    model_digest(module)
    assert time.perf_counter() - start < 1.0  # 0.01 s on an idle core
