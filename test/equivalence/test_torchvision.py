"""torchvision's classification and segmentation nets, unmodified, as a stranger's models, are equal in bands.

Every test run has all of them but the largest of a family, small nets at 231x317 and others at 97x131. `-m full` has
all of them at 231x317.
"""

import pytest
import torch
from support.architectures import random_plan
from support.oracles import make_oracle
from support.torchvision_zoo import torchvision_models, why_absent

from coedge_ros.spec.graph import Kind

torch.set_num_threads(1)

pytestmark = pytest.mark.skipif(bool(why_absent()), reason=why_absent())
_MODELS = torchvision_models()
_MANY_WEIGHTS = 100e6  # from here on drawing, hashing and copying weights takes longer than the comparison
_ONLY_LARGE_ONES = ("vgg11", "vgg19_bn")  # of a family that has no small ones


def _check(model, size: tuple[int, int]) -> None:
    oracle = make_oracle(model.build, *size)
    graph = oracle.model.graph
    assert not [op for op in graph.operators if op.kind is Kind.GATHER]  # what --strict refuses
    assert graph.trunk_macs >= 0.95 * graph.total_macs or size[0] * size[1] < 224 * 224
    verdict = oracle.verify(random_plan(oracle, model.name))
    assert verdict.is_equal, f"{verdict.worst_output}; {verdict.worst_cut}"


@pytest.mark.parametrize(
    "model", [m for m in _MODELS if m.parameters < _MANY_WEIGHTS or m.name in _ONLY_LARGE_ONES], ids=str
)
def test_it_verifies_unmodified(model):
    _check(model, (231, 317) if model.gigamacs < 1 else (97, 131))


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("model", _MODELS, ids=str)
def test_it_verifies_unmodified_at_its_size(model):
    _check(model, model.sizes[-1])
