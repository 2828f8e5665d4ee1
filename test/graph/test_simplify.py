"""What the simplified graph computes is what the traced one does, by other operators where that pays."""

import pytest
import torch
from torch import nn

from coedge_ros.execution.comparison import compare
from coedge_ros.execution.verification import random_frame
from coedge_ros.graph.lower import partition_nodes
from coedge_ros.graph.trace import PixelInput, trace

torch.set_num_threads(1)


def simplified(*layers: nn.Module, height: int = 21, width: int = 17):
    """Operators of the simplified graph, and how far its answer is from the traced one's, in parts of the scale."""
    torch.manual_seed(0)
    traced = trace(PixelInput(nn.Sequential(*layers)), height, width)
    model = partition_nodes(traced, "digest")
    frame = torch.from_numpy(random_frame(height, width)).permute(2, 0, 1)[None]
    (output,), (other,) = traced.outputs, model.graph.outputs
    difference, scale = compare(model.nodes.run(frame)[other], traced.run(frame)[output])
    return [op.target for op in model.graph.operators], difference / scale


@pytest.mark.parametrize("size", [2, 3, 4, 5, 9])
def test_the_mean_over_channels_of_local_response_norm_is_one_operator(size):
    operators, difference = simplified(nn.Conv2d(3, 8, 3), nn.LocalResponseNorm(size, alpha=0.5, k=0.1))
    assert "channel_mean" in operators and not {"avg_pool3d", "pad"} & set(operators)
    assert difference < 1e-6


def test_other_pooling_in_three_dimensions_is_left_alone():
    class Pooled(nn.Module):
        def forward(self, x):
            return nn.functional.avg_pool3d(x.unsqueeze(1), (3, 3, 1), stride=1, padding=(1, 1, 0)).squeeze(1)

    operators, difference = simplified(nn.Conv2d(3, 8, 3), Pooled())
    assert "channel_mean" not in operators and difference < 1e-6


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_over_a_flattened_map_is_products_of_rows_and_their_sum(bias):
    layers = (nn.Conv2d(3, 4, 3, 2), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 10 * 8, 6, bias=bias), nn.ReLU())
    operators, difference = simplified(*layers)
    assert {"linear_by_row", "sum"} < set(operators) and not {"linear", "reshape"} & set(operators)
    assert difference < 1e-6


def test_a_linear_layer_over_a_pooled_map_stays_as_it_is():
    operators, difference = simplified(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6), nn.Sigmoid()
    )
    assert "linear" in operators and "linear_by_row" not in operators and difference < 1e-6


def test_a_flattened_map_that_something_else_reads_too_stays_whole():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4 * 19 * 15, 5)

        def forward(self, x):
            flat = x.flatten(1)
            return self.linear(flat) + flat.cumsum(1)[:, -1:]

    operators, difference = simplified(nn.Conv2d(3, 4, 3), Both())
    assert "linear_by_row" not in operators and difference < 1e-5
