"""What is decoded is what was encoded, within the bounds that `execution.codec` states; nothing is clamped."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.two_workers import NAMES, model
from torch import nn

from coedge_ros.execution.codec import decode, encode
from coedge_ros.execution.fragment import Fragment
from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.graph.lower import partition_model
from coedge_ros.spec.codec import Codec, coded_bytes, data_bytes, scale_count
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares
from coedge_ros.spec.schedule import TransferKind

torch.set_num_threads(1)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def wires(draw, values) -> torch.Tensor:
    """Rows in wire order: (rows, 1, columns, channels), each channel with a magnitude of its own."""
    shape = [draw(st.integers(1, 4)), 1, draw(st.integers(1, 9)), draw(st.integers(1, 5))]
    flat = draw(st.lists(values, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    return torch.tensor(flat, dtype=torch.float32).reshape(shape)


def there_and_back(wire: torch.Tensor, codec: Codec) -> tuple[Codec, torch.Tensor]:
    coded, shape = encode(wire, codec), tuple(wire.shape)
    assert len(coded.data) == data_bytes(coded.codec, shape, "float32")
    assert len(coded.scale) == scale_count(coded.codec, shape)
    assert coded.size_bytes == coded_bytes(coded.codec, shape, "float32")
    data = np.array(coded.data)  # a writable copy, as one arrives
    found = decode(coded.codec, data, coded.scale, "float32", shape)
    assert found.dtype == torch.float32 and found.shape == wire.shape
    return coded.codec, found


@given(wires(FINITE))
def test_raw_is_exact(wire):
    used, found = there_and_back(wire, Codec.RAW)
    assert used is Codec.RAW and torch.equal(found, wire)


@given(wires(FINITE))
def test_half_precision_is_within_its_rounding_or_raw(wire):
    used, found = there_and_back(wire, Codec.FLOAT16)
    assert used is (Codec.FLOAT16 if wire.half().isfinite().all() else Codec.RAW)
    exact, off = wire.double(), (found.double() - wire.double()).abs()
    assert (off <= torch.maximum(exact.abs() * 2.0**-11, torch.tensor(2.0**-25))).all()


@given(wires(FINITE))
def test_eight_bits_are_within_half_a_step_of_each_channel(wire):
    used, found = there_and_back(wire, Codec.INT8)
    most = wire.double().abs().amax((0, 1, 2))
    assert used is (Codec.INT8 if most.max() < 3.4028e38 else Codec.RAW)
    off = (found.double() - wire.double()).abs().amax((0, 1, 2))
    assert (off <= most / 254 * 1.0001 + 2.0**-118).all()


@pytest.mark.parametrize("codec", [Codec.FLOAT16, Codec.INT8])
@pytest.mark.parametrize("odd", [float("inf"), float("-inf"), float("nan")])
def test_what_a_codec_cannot_hold_travels_as_it_is(codec, odd):
    wire = torch.ones(2, 1, 3, 2)
    wire[1, 0, 2, 0] = odd
    used, found = there_and_back(wire, codec)
    assert used is Codec.RAW and torch.equal(found.nan_to_num(7.0), wire.nan_to_num(7.0))


def test_a_magnitude_beyond_half_precision_is_not_clamped():
    wire = torch.full((1, 1, 2, 2), 65_504.0)
    assert there_and_back(wire, Codec.FLOAT16)[0] is Codec.FLOAT16
    used, found = there_and_back(wire * 2, Codec.FLOAT16)
    assert used is Codec.RAW and torch.equal(found, wire * 2)


def test_one_large_channel_costs_the_others_nothing():
    wire = torch.rand(3, 1, 8, 2)
    wire[..., 1] *= 1e6
    _, found = there_and_back(wire, Codec.INT8)
    assert (found - wire)[..., 0].abs().max() <= 1 / 254


def coded_plan(codec: Codec, names=NAMES, graph=None) -> PartitionPlan:
    graph = graph or model().graph
    plan = plan_from_shares(graph, names, [1.0] * len(names), layer_cuts(graph))
    return replace(plan, codecs=((codec,) * len(names),) * len(names))


def test_only_activations_between_workers_are_coded():
    schedule = derive_schedule(model().graph, coded_plan(Codec.FLOAT16))
    raw = derive_schedule(model().graph, coded_plan(Codec.RAW))
    kinds = set()
    for t, plain in zip(schedule.transfers, raw.transfers, strict=True):
        is_coded = t.kind in (TransferKind.HALO, TransferKind.GATHER)
        kinds.add(t.kind)
        assert t.codec is (Codec.FLOAT16 if is_coded else Codec.RAW)
        assert t.wire_bytes == plain.wire_bytes // (2 if is_coded else 1)
    assert kinds >= {TransferKind.HALO, TransferKind.SCATTER, TransferKind.RESULT, TransferKind.REPORT}


def test_links_have_codecs_of_their_own():
    plan = coded_plan(Codec.RAW)
    plan = replace(plan, codecs=((Codec.RAW, Codec.INT8), (Codec.RAW, Codec.RAW)))
    halos = derive_schedule(model().graph, plan).of_kind(TransferKind.HALO)
    assert {(t.source, t.codec) for t in halos} == {(0, Codec.INT8), (1, Codec.RAW)}
    assert PartitionPlan.from_dict(plan.as_dict()) == plan and plan.coarsest is Codec.INT8
    with pytest.raises(ValueError, match="one per pair"):
        replace(plan, codecs=((Codec.RAW,),))


def net() -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()


@pytest.mark.parametrize(("codec", "least", "most"), [(0, 0.0, 1e-6), (1, 1e-7, 1e-3), (2, 1e-5, 5e-2)])
def test_answers_are_off_by_what_the_codec_costs_and_no_more(codec, least, most):
    banded = partition_model(net(), 24, 20, digest="d" * 64)
    frame = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    whole = net()(torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255).detach()
    cluster = InProcessCluster(banded, coded_plan(Codec(codec), ("a", "b", "c"), banded.graph))
    answer = cluster.run(frame)
    (found,) = answer.outputs.values()
    off = float((found - whole).abs().max() / whole.abs().max())
    assert least <= off <= most
    transfers = cluster.schedule.transfers
    for index, usage in enumerate(answer.usage):  # counted as sent and as taken, scales included
        assert usage.bytes_in == sum(t.wire_bytes for t in transfers if t.target == index)
        assert usage.bytes_out == sum(
            t.wire_bytes for t in transfers if t.source == index and t.kind is not TransferKind.REPORT
        )


def test_a_frame_with_values_that_half_precision_cannot_hold_is_answered_exactly():
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)).eval()
    module[0].weight.data *= 1e7
    banded = partition_model(module, 24, 20, digest="d" * 64)
    frame = np.full((24, 20, 3), 200, np.uint8)
    outputs = []
    sent: list[Fragment] = []

    def note(receiver: str, fragment: Fragment) -> Fragment:
        sent.append(fragment)
        return fragment

    for codec in (Codec.RAW, Codec.FLOAT16):
        outputs.append(InProcessCluster(banded, coded_plan(codec, ("a", "b"), banded.graph), note).run(frame).outputs)
    raw, half = (next(iter(o.values())) for o in outputs)
    assert torch.equal(raw, half) and float(raw.abs().max()) > 65_504
    assert {f.codec for f in sent} == {Codec.RAW}
