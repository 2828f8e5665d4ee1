"""What does not fit the schedule is refused, counted under its reason, and changes nothing."""

from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coedge_ros.execution.codec import encode
from coedge_ros.execution.fragment import Fragment, FrameKey
from coedge_ros.execution.inbox import Inbox
from coedge_ros.graph.lower import partition_model
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import plan_from_shares
from coedge_ros.spec.schedule import MANAGER, TransferKind

torch.set_num_threads(1)
SESSION, EPOCH = 2**63 + 5, 7


@cache
def _schedule():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)).eval()
    graph = partition_model(net, 12, 10, digest="d" * 64).graph
    return derive_schedule(graph, plan_from_shares(graph, ("top", "middle", "bottom"), [1, 1, 1], layer_cuts(graph)))


def _transfer(kind=TransferKind.HALO, target="middle"):
    names = (*_schedule().plan.workers, "manager")
    return next(t for t in _schedule().of_kind(kind) if names[t.target] == target)


def _fragment(transfer=None, frame=0) -> Fragment:
    t = transfer or _transfer()
    source = "manager" if t.source == MANAGER else _schedule().plan.workers[t.source]
    data = np.arange(t.wire_bytes, dtype=np.uint8)
    start, stop = (t.rows.start, t.rows.stop) if t.rows else (0, 0)
    shape = list(t.wire_shape)
    return Fragment(SESSION, EPOCH, frame, t.index, source, "d" * 64, start, stop, shape, t.dtype, data)


def _chunks(count: int, transfer=None, frame=0) -> list[Fragment]:
    whole = _fragment(transfer, frame)
    pieces = np.array_split(whole.data, count)
    return [replace(whole, chunk=i, chunk_count=count, data=piece) for i, piece in enumerate(pieces)]


def _inbox(name="middle", **options) -> Inbox:
    inbox = Inbox(name, **options)
    inbox.prepare(SESSION, EPOCH, _schedule())
    return inbox


def _state(inbox: Inbox):
    held = {key: sorted(arrived) for key, arrived in inbox.frames.items()}
    return held, inbox.bytes_in, dict(inbox.bytes_of), len(inbox._chunks)


WRONG = {
    "an older protocol": ({"protocol_version": 0}, "protocol_version"),
    "another session": ({"session": SESSION + 1}, "unknown_session"),
    "another epoch": ({"epoch": EPOCH + 1}, "unknown_epoch"),
    "a transfer that the plan has not": ({"transfer": 10_000}, "unknown_transfer"),
    "a transfer for somebody else": ({"transfer": 0}, "wrong_receiver"),
    "another worker's name": ({"source": "bottom"}, "wrong_source"),
    "an unknown worker": ({"source": "stranger\n" * 99}, "wrong_source"),
    "other weights": ({"model_digest": "e" * 64}, "model_digest"),
    "other rows": ({"row_start": 0}, "rows"),
    "another shape": ({"shape": [2, 1, 10, 4]}, "shape"),
    "no shape": ({"shape": []}, "shape"),
    "another type": ({"dtype": "float16"}, "shape"),
    "a codec that is not known": ({"codec": 9}, "codec"),
    "a chunk beyond the last": ({"chunk": 1}, "chunk"),
    "no chunks at all": ({"chunk_count": 0}, "chunk"),
    "more chunks than bytes": ({"chunk_count": 65_535}, "chunk"),
    "no data": ({"data": np.zeros(0, np.uint8)}, "size"),
    "too little data": ({"data": np.zeros(159, np.uint8)}, "size"),
    "too much data": ({"data": np.zeros(161, np.uint8)}, "size"),
}


@pytest.mark.parametrize(("change", "reason"), WRONG.values(), ids=WRONG)
def test_a_fragment_with_an_error_is_refused_under_its_reason(change, reason):
    assert _transfer().wire_bytes == 160 and _schedule().transfers[0].target != 1
    inbox = _inbox()
    before = _state(inbox)
    assert inbox.accept(replace(_fragment(), **change)) is None
    assert dict(inbox.rejected) == {reason: 1}
    assert inbox.last_rejection.startswith(reason) and "\n" not in inbox.last_rejection
    assert len(inbox.last_rejection) < 200
    assert _state(inbox) == before
    assert inbox.accept(_fragment()) == FrameKey(SESSION, EPOCH, 0)  # and the right one is still welcome


def test_a_fragment_that_fits_is_the_tensor_that_was_sent():
    inbox = _inbox()
    key = inbox.accept(_fragment())
    arrived = inbox.frames[key][_transfer().index]
    assert arrived.dtype == torch.float32 and tuple(arrived.shape) == _transfer().wire_shape
    assert arrived.numpy().tobytes() == _fragment().data.tobytes()
    assert inbox.bytes_in == inbox.bytes_of[key] == 160


def test_a_fragment_that_came_before_is_refused():
    inbox = _inbox()
    inbox.accept(_fragment())
    assert inbox.accept(_fragment()) is None
    assert dict(inbox.rejected) == {"duplicate": 1} and inbox.bytes_in == 160


def test_what_comes_after_its_frame_is_finished_is_stale():
    inbox = _inbox()
    inbox.finish(inbox.accept(_fragment()))
    assert inbox.accept(_fragment()) is None
    assert dict(inbox.rejected) == {"stale_frame": 1} and not inbox.frames


def test_frames_beyond_the_limit_are_refused_until_one_is_finished():
    inbox = _inbox(max_frames=2)
    first = inbox.accept(_fragment(frame=0))
    inbox.accept(_fragment(frame=1))
    assert inbox.accept(_fragment(frame=2)) is None
    assert dict(inbox.rejected) == {"too_many_frames": 1}
    inbox.finish(first)
    assert inbox.accept(_fragment(frame=2)) is not None


def test_refused_fragments_use_up_no_frames():
    inbox = _inbox(max_frames=1)
    for frame in range(5):
        assert inbox.accept(replace(_fragment(frame=frame), data=np.zeros(3, np.uint8))) is None
        assert inbox.accept(replace(_chunks(2, frame=frame)[0], data=np.zeros(999, np.uint8))) is None
    assert inbox.accept(_fragment(frame=9)) is not None


def test_a_plan_that_was_released_is_unknown():
    inbox = _inbox()
    inbox.accept(_chunks(2)[0])
    inbox.release(SESSION, EPOCH)
    assert not inbox.frames and not inbox._chunks
    assert inbox.accept(_fragment()) is None
    assert dict(inbox.rejected) == {"unknown_session": 1}


def test_the_manager_takes_only_frames_that_it_started():
    result = _transfer(TransferKind.RESULT, "manager")
    inbox = _inbox("manager", is_manager=True)
    assert inbox.accept(_fragment(result)) is None
    assert dict(inbox.rejected) == {"unknown_frame": 1}
    inbox.frames[FrameKey(SESSION, EPOCH, 0)] = {}
    assert inbox.accept(_fragment(result)) is not None


@given(st.permutations(range(5)))
def test_chunks_make_the_tensor_in_whatever_order_they_come(order):
    inbox, chunks = _inbox(), _chunks(5)
    for n, i in enumerate(order):
        key = inbox.accept(chunks[i])
        assert (_transfer().index in inbox.frames[key]) == (n == 4)
    assert inbox.frames[key][_transfer().index].numpy().tobytes() == _fragment().data.tobytes()
    assert inbox.bytes_in == 160 and not inbox._chunks and not inbox.rejected


def test_a_chunk_that_came_before_is_refused():
    inbox, chunks = _inbox(), _chunks(3)
    inbox.accept(chunks[0])
    assert inbox.accept(chunks[0]) is None
    assert dict(inbox.rejected) == {"duplicate": 1}


def test_chunks_that_disagree_on_their_number_are_refused_and_the_others_still_serve():
    inbox = _inbox()
    inbox.accept(_chunks(6)[5])
    assert inbox.accept(_chunks(2)[0]) is None
    assert dict(inbox.rejected) == {"chunk": 1}
    for chunk in _chunks(6)[:5]:
        key = inbox.accept(chunk)
    assert _transfer().index in inbox.frames[key]


@pytest.mark.parametrize("size", [79, 81, 160])
def test_chunks_that_do_not_make_the_tensor_are_refused_before_they_are_held(size):
    inbox = _inbox()
    inbox.accept(_chunks(2)[0])
    assert inbox.accept(replace(_chunks(2)[1], data=np.zeros(size, np.uint8))) is None
    assert dict(inbox.rejected) == {"size": 1}
    assert inbox.accept(_chunks(2)[1]) is not None  # a sender that got it right after all


# -- coded transfers ---------------------------------------------------------------------------------------------------


@cache
def _coded_schedule(codec: Codec):
    plan = _schedule().plan
    return derive_schedule(_schedule().graph, replace(plan, codecs=((codec,) * 3,) * 3))


def _coded(codec: Codec, count: int = 1, wire=None) -> tuple[Inbox, list[Fragment]]:
    """An inbox of a coded plan, and a halo of it in chunks."""
    inbox, halo = Inbox("middle"), _transfer()
    inbox.prepare(SESSION, EPOCH, _coded_schedule(codec))
    coded = encode(torch.rand(halo.wire_shape) + 0.1 if wire is None else wire, codec)
    whole = replace(_fragment(), codec=coded.codec, scale=coded.scale.tolist(), data=coded.data)
    pieces = np.array_split(whole.data, count)
    scales = [whole.scale] + [[]] * (count - 1)
    return inbox, [
        replace(whole, chunk=i, chunk_count=count, data=d, scale=s)
        for i, (d, s) in enumerate(zip(pieces, scales, strict=True))
    ]


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("order", [(0,), (0, 1, 2), (2, 1, 0)])
def test_a_coded_transfer_is_decoded_in_whatever_order_its_chunks_come(codec, order):
    wire = torch.rand(_transfer().wire_shape) + 0.1
    inbox, chunks = _coded(codec, len(order), wire)
    for i in order:
        key = inbox.accept(chunks[i])
    found = inbox.frames[key][_transfer().index]
    assert (found - wire).abs().max() <= (0.0, 1e-3, 5e-3)[codec]
    transfer = _coded_schedule(codec).transfers[_transfer().index]
    assert inbox.bytes_in == transfer.wire_bytes == (160, 80, 40 + 16)[codec]


BAD_CODING = {
    "a codec that the plan does not have for the link": (Codec.FLOAT16, {"codec": 2, "scale": [1.0] * 4}, "codec"),
    "a coded transfer where the plan has raw ones": (Codec.RAW, {"codec": 1}, "codec"),
    "coded values that are called raw": (Codec.FLOAT16, {"codec": 0}, "size"),
    "raw values that are called coded": (Codec.FLOAT16, {"data": np.zeros(160, np.uint8)}, "size"),
    "no scales": (Codec.INT8, {"scale": []}, "scale"),
    "one scale too many": (Codec.INT8, {"scale": [1.0] * 5}, "scale"),
    "scales that nobody asked for": (Codec.FLOAT16, {"scale": [1.0] * 4}, "scale"),
    "an infinite scale": (Codec.INT8, {"scale": [1.0, 1.0, float("inf"), 1.0]}, "scale"),
    "a scale that is no number": (Codec.INT8, {"scale": [float("nan")] * 4}, "scale"),
    "a negative scale": (Codec.INT8, {"scale": [1.0, -1.0, 1.0, 1.0]}, "scale"),
    "too few coded values": (Codec.INT8, {"data": np.zeros(39, np.uint8)}, "size"),
}


@pytest.mark.parametrize(("codec", "change", "reason"), BAD_CODING.values(), ids=BAD_CODING)
def test_what_is_coded_otherwise_than_planned_is_refused_and_counted(codec, change, reason):
    inbox, (fragment,) = _coded(codec)
    assert inbox.accept(replace(fragment, **change)) is None
    assert dict(inbox.rejected) == {reason: 1} and not inbox.frames and inbox.bytes_in == 0
    assert inbox.accept(fragment) is not None


def test_scales_in_a_later_chunk_and_chunks_of_two_codecs_are_refused():
    inbox, chunks = _coded(Codec.INT8, 3)
    inbox.accept(chunks[0])
    assert inbox.accept(replace(chunks[1], scale=chunks[0].scale)) is None
    assert inbox.accept(replace(chunks[1], codec=0)) is None
    assert dict(inbox.rejected) == {"scale": 1, "codec": 1}
    inbox.accept(chunks[1])
    assert _transfer().index in inbox.frames[inbox.accept(chunks[2])]


def test_a_transfer_that_the_codec_cannot_hold_comes_raw():
    wire = torch.full(_transfer().wire_shape, 1e6)
    inbox, (fragment,) = _coded(Codec.FLOAT16, 1, wire)
    assert fragment.codec == 0 and len(fragment.data) == 160
    key = inbox.accept(fragment)
    assert torch.equal(inbox.frames[key][_transfer().index], wire)


_UINT = st.integers(0, 2**32 - 1)
_ODD = {
    "session": st.sampled_from([SESSION, 0, 2**64 - 1]),
    "epoch": st.sampled_from([EPOCH, 0, 2**32 - 1]),
    "frame": st.integers(0, 3),
    "transfer": st.one_of(st.integers(0, 40), _UINT),
    "source": st.one_of(st.sampled_from(["top", "middle", "bottom", "manager"]), st.text(max_size=80)),
    "model_digest": st.one_of(st.just("d" * 64), st.text(max_size=80)),
    "row_start": st.one_of(st.integers(0, 12), _UINT),
    "row_stop": st.one_of(st.integers(0, 12), _UINT),
    "shape": st.lists(st.one_of(st.integers(0, 12), _UINT), max_size=6),
    "dtype": st.one_of(st.sampled_from(["float32", "uint8", "object", ""]), st.text(max_size=8)),
    "data": st.binary(max_size=400).map(lambda b: np.frombuffer(bytearray(b), np.uint8)),
    "chunk": st.one_of(st.integers(0, 5), st.integers(0, 65_535)),
    "chunk_count": st.one_of(st.integers(0, 5), st.integers(0, 65_535)),
    "codec": st.integers(0, 255),
    "scale": st.lists(st.floats(allow_nan=True), max_size=3),
    "protocol_version": st.sampled_from([1, 1, 1, 0, 65_535]),
}


@st.composite
def _fuzzed(draw) -> Fragment:
    """A fragment of the plan in which a few fields, often none, hold anything that the message can carry."""
    transfer = draw(st.sampled_from(_schedule().transfers))
    pieces = _chunks(draw(st.integers(1, 3)), transfer, draw(st.integers(0, 3)))
    fragment = draw(st.sampled_from(pieces))
    changed = draw(st.lists(st.sampled_from(sorted(_ODD)), max_size=3, unique=True))
    return replace(fragment, **{name: draw(_ODD[name]) for name in changed})


def test_the_fuzz_test_changes_every_field():
    assert set(_ODD) == {f.name for f in fields(Fragment)}


@settings(max_examples=300, deadline=None)
@given(st.lists(_fuzzed(), min_size=1, max_size=12))
def test_whatever_arrives_is_taken_or_counted_and_memory_stays_within_the_plan(fragments):
    schedule = _schedule()
    inbox = _inbox(max_frames=2)
    mine = {t.index: t for t in schedule.transfers if t.target == 1}
    for fragment in fragments:
        before, refused = _state(inbox), inbox.rejected.total()
        key = inbox.accept(fragment)
        assert inbox.rejected.total() == refused + (key is None)
        if key is None:
            assert _state(inbox) == before
        assert len(inbox.frames) <= 2
        held = sum(t.nbytes for arrived in inbox.frames.values() for t in arrived.values())
        held += sum(len(d) for chunks in inbox._chunks.values() for d in chunks.data.values())
        assert held == inbox.bytes_in <= 2 * sum(t.wire_bytes for t in mine.values())
        for arrived in inbox.frames.values():
            for index, tensor in arrived.items():
                assert tuple(tensor.shape) == mine[index].wire_shape
                assert str(tensor.dtype) == f"torch.{mine[index].dtype}"
