"""Random convolutional models and random plans for them, as hypothesis strategies."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import strategies as st
from support.model_source import Source
from support.random_steps import STEPS, convolution
from torch.utils._pytree import tree_map

from coedge_ros.execution.comparison import compare
from coedge_ros.execution.verification import Oracle
from coedge_ros.graph.ir import NodeGraph
from coedge_ros.rows.split import split_by_shares
from coedge_ros.spec.cuts import legal_cuts, with_forced
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.plan import PartitionPlan, reference_heights


@st.composite
def sources(draw, steps: int = 12) -> Source:
    """A random model of up to `steps` lines."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the values decide which lines are left out
        return _source(draw, steps)


def _source(draw, steps: int) -> Source:
    s = Source(draw(st.integers(4, 33)), draw(st.integers(4, 21)))
    if draw(st.integers(0, 3)):
        convolution(draw, s, "x")
    for _ in range(draw(st.integers(min(4, steps), steps))):
        names = list(s.maps)
        # mostly the newest map, so that graphs are deep, and often an older one, so that they branch
        x = names[-1] if draw(st.integers(0, 2)) else draw(st.sampled_from(names))
        draw(st.sampled_from(STEPS))(draw, s, x)
    if not any("Conv" in layer for layer in s.layers) or not s.lines:
        last = list(s.maps)[-1]
        s.add(f"{s.layer(f'nn.Conv2d({s.shape(last)[1]}, 4, 3, padding=1)')}({last})")
    names = list(s.maps)[1:]
    s.outputs = list(dict.fromkeys([names[-1], *draw(st.lists(st.sampled_from(names), max_size=2))]))
    _, c, h, w = s.shape(names[-1])
    head = draw(st.sampled_from(["none", "none", "pooled", "flat", "classes", "pixels"]))
    if head == "pooled":
        s.outputs.append(f"{s.layer(f'nn.Linear({c}, 3)')}({names[-1]}.mean((2, 3)))")
    elif head == "flat":
        s.outputs.append(f"{s.layer(f'nn.Linear({c * h * w}, 3)')}({names[-1]}.flatten(1))")
    elif head == "classes":
        s.outputs.append(f"{names[-1]}.argmax(1)")
    elif head == "pixels":
        s.outputs.append(f"(torch.sigmoid({names[-1]}) * 255).round().to(torch.uint8)")
    return s


@st.composite
def plans(draw, graph: ModelGraph) -> PartitionPlan:
    """A random plan: workers without rows, bands that differ from stage to stage, cuts anywhere."""
    workers = tuple(f"w{i}" for i in range(draw(st.integers(1, 5))))
    legal = legal_cuts(graph)
    some = draw(st.sets(st.sampled_from(legal), max_size=6)) if legal else ()
    cuts = with_forced(graph, draw(st.sampled_from([some, some, some, legal, ()])))
    share = st.sampled_from([0.0, 0.1, 1.0, 1.0, 2.0, 5.0])
    shares = st.lists(share, min_size=len(workers), max_size=len(workers)).filter(any)
    common, resplit = draw(shares), draw(st.booleans())
    heights = reference_heights(graph, cuts)
    return PartitionPlan(
        model_digest=graph.digest,
        height=graph.input.height,
        width=graph.input.shape[3],
        workers=workers,
        head=draw(st.sampled_from(workers)),
        cuts=cuts,
        boundaries=tuple(split_by_shares(h, draw(shares) if resplit else common) for h in heights),
    )


def in_double(graph: NodeGraph) -> NodeGraph:
    """The same graph in float64."""

    def double(value):
        if isinstance(value, torch.Tensor) and value.dtype is torch.float32:
            return value.double()
        return torch.float64 if value is torch.float32 else value

    nodes = (
        replace(node, args=tree_map(double, node.args), kwargs=tree_map(double, node.kwargs)) for node in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


def rounding(oracle: Oracle) -> float:
    """How far float32 is from float64 in any tensor of the whole model, in parts of the tensor's largest value.

    Some graphs amplify rounding without bound, such as the mean of what an instance norm has just made zero on average:
    they say nothing about bands.
    """
    pixels = torch.from_numpy(oracle.frames()[0]).permute(2, 0, 1).contiguous().unsqueeze(0)
    exact = in_double(oracle.nodes).run(pixels)
    worst = 0.0
    for name, found in oracle.nodes.run(pixels).items():
        if isinstance(found, torch.Tensor) and found.dtype.is_floating_point:
            difference, scale = compare(found.double(), exact[name].double())
            worst = max(worst, difference / scale if scale else float(difference > 0))
    return worst
