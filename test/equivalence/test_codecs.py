"""What coded rows cost with trained weights: the bounds are fixed, and the first class stays."""

from dataclasses import replace
from functools import cache

import cv2
import pytest
import torch

from coedge_ros.execution.comparison import TOLERANCE
from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.execution.verification import Oracle
from coedge_ros.graph.example_data import PHOTOS, photo
from coedge_ros.graph.loading import load_model
from coedge_ros.nodes.image_codec import resize_to
from coedge_ros.spec.codec import TOLERANCES, Codec
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.plan import plan_from_shares

torch.set_num_threads(1)
NAMES = ("a", "b", "c")


@cache
def oracle(model: str) -> Oracle:
    loaded = load_model(model, weights="imagenet")
    return Oracle(loaded.module, *loaded.input_size, loaded.mean, loaded.std)


def photos(size: tuple[int, int]):
    for name in PHOTOS:
        yield name, resize_to(cv2.cvtColor(cv2.imread(str(photo(name))), cv2.COLOR_BGR2RGB), *size)


def is_first(scores: torch.Tensor, index: int, tolerance: float) -> bool:
    """Whether a class has the best score, or one as good: one photo's best two differ by 1e-5 of the scale."""
    return bool(scores[0, index] >= scores.max() - tolerance * scores.abs().max())


@pytest.mark.parametrize("codec", [Codec.FLOAT16, Codec.INT8])
@pytest.mark.parametrize("model", ["mobilenet_v2", "efficientnet_lite0"])
def test_logits_are_within_the_bound_and_the_first_class_is_the_same_for_every_photo(model, codec):
    whole = oracle(model)
    graph = whole.model.graph
    plan = plan_from_shares(graph, NAMES, [3.0, 2.0, 1.0], layer_cuts(graph))
    cluster = InProcessCluster(whole.model, replace(plan, codecs=((codec,) * 3,) * 3))
    for name, frame in photos(whole.size):
        (found,), (scores,) = cluster.run(frame).outputs.values(), whole.outputs(frame).values()
        off = float((found - scores).abs().max() / scores.abs().max())
        assert 0 < off <= TOLERANCES[codec], name
        assert is_first(scores, int(found.argmax()), TOLERANCE), name
