"""Fragments over real DDS: whole or in chunks, to the receiver that is meant, and who is matched with whom."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from rclpy.node import Node

from coedge_ros.errors import UserError
from coedge_ros.execution.codec import decode
from coedge_ros.execution.fragment import FrameKey, Outgoing, Request
from coedge_ros.nodes import dds_channel
from coedge_ros.nodes.dds_channel import DdsChannel, make_data_node
from coedge_ros.rows.row_set import RowRange
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.schedule import Transfer, TransferKind

pytestmark = pytest.mark.timeout(60)
KEY = FrameKey(2**63 + 5, 3, 17)


@pytest.fixture
def channels(ros):
    """Makes channels of participants, each with a control node that is spun and a data node that is not."""
    made = []

    def make(name: str, chunk_bytes: int = 1000, resend_bytes: int = 0) -> DdsChannel:
        control, resolve = (node := ros.node(Node, name, namespace="coedge")), node.resolve_topic_name
        channel = DdsChannel(make_data_node(control, name), name, 256, chunk_bytes, resolve, resend_bytes)
        made.append(channel)
        return channel

    yield make
    for channel in made:
        channel.close()


def outgoing(wire: torch.Tensor, rows: RowRange | None = None) -> Outgoing:
    size = wire.numel() * wire.element_size()
    dtype = str(wire.dtype).removeprefix("torch.")
    transfer = Transfer(5, TransferKind.HALO, "x", 0, 1, rows, 0, 1, tuple(wire.shape), dtype, size)
    return Outgoing(KEY, transfer, "left", "d" * 64, wire)


def connect(*channels: DdsChannel) -> None:
    for one in channels:
        for other in channels:
            one.connect(other.name)
    names = {channel.name for channel in channels}
    wait_until(lambda: all(set(c.matched()) == names - {c.name} for c in channels), "all are matched both ways")


def wait_until(condition, what: str, limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.01)


def receive(channel: DdsChannel, count: int) -> list:
    found, end = [], time.monotonic() + 10
    while len(found) < count:
        assert time.monotonic() < end, f"only {len(found)} of {count}"
        fragment = channel.receive(0.05)
        found += [fragment] if fragment is not None else []
    return found


def test_a_transfer_arrives_with_every_field_and_byte(channels):
    left, right = channels("left"), channels("right")
    connect(left, right)
    wire = torch.randn(2, 1, 5, 3)
    assert left.send("right", outgoing(wire, RowRange(4, 6))) == 120
    (f,) = receive(right, 1)
    assert (f.protocol_version, f.session, f.epoch, f.frame) == (1, KEY.session, KEY.epoch, KEY.frame)
    assert (f.transfer, f.chunk, f.chunk_count, f.codec, f.dtype) == (5, 0, 1, 0, "float32")
    assert (f.row_start, f.row_stop, list(f.shape)) == (4, 6, [2, 1, 5, 3])
    assert (f.source, f.model_digest) == ("left", "d" * 64)
    assert bytes(f.data) == wire.numpy().tobytes()


@pytest.mark.parametrize("codec", [Codec.FLOAT16, Codec.INT8])
def test_a_coded_transfer_arrives_in_chunks_the_first_of_which_has_the_scales(channels, codec, monkeypatch):
    monkeypatch.setattr(dds_channel, "JUST_SENT_S", 0.0)
    left, right = channels("left", 1000, 10**6), channels("right")
    connect(left, right)
    wire = torch.rand(4, 1, 50, 16)
    item = outgoing(wire, RowRange(4, 8))
    size = left.send("right", replace(item, transfer=replace(item.transfer, codec=codec)))
    assert size == (6400 if codec is Codec.FLOAT16 else 3200 + 64)
    right.ask("left", Request(KEY, 5, "right", (0, 2)))
    serve(left, lambda _: left.resent == 1)
    found = receive(right, math.ceil(size // 1000) + 1 + 2)
    whole, again = found[:-2], found[-2:]
    assert {f.codec for f in found} == {int(codec)} and [bytes(f.data) for f in again] == [
        bytes(whole[0].data), bytes(whole[2].data)
    ]  # fmt: skip
    assert [len(f.scale) for f in found] == [len(whole[0].scale), *[0] * (len(whole) - 1), len(whole[0].scale), 0]
    data = np.frombuffer(b"".join(bytes(f.data) for f in whole), np.uint8).copy()
    decoded = decode(codec, data, whole[0].scale, "float32", (4, 1, 50, 16))
    assert (decoded - wire).abs().max() <= (0.0, 2.0**-11, 1 / 253)[codec]


@pytest.mark.parametrize("chunk_bytes", [1000, 4096, 20_000])
def test_a_large_transfer_comes_in_chunks_of_the_size_asked_for(channels, chunk_bytes):
    left, right = channels("left", chunk_bytes), channels("right")
    connect(left, right)
    wire = torch.arange(10_007, dtype=torch.float32)
    left.send("right", outgoing(wire))
    count = math.ceil(40_028 / chunk_bytes)
    found = receive(right, count)
    assert [(f.chunk, f.chunk_count) for f in found] == [(i, count) for i in range(count)]
    assert {len(f.data) for f in found[:-1]} <= {chunk_bytes}
    assert b"".join(bytes(f.data) for f in found) == wire.numpy().tobytes()
    assert right.receive(0.1) is None


def test_chunks_are_larger_where_there_would_be_too_many_for_the_message(channels, monkeypatch):
    monkeypatch.setattr(dds_channel, "MAX_CHUNKS", 4)
    left, right = channels("left", 10), channels("right")
    connect(left, right)
    left.send("right", outgoing(torch.zeros(101, dtype=torch.uint8)))
    assert [len(f.data) for f in receive(right, 4)] == [26, 26, 26, 23]


def serve(channel: DdsChannel, until) -> list:
    unserved = []
    wait_until(lambda: unserved.extend(channel.serve_requests()) or until(unserved), "requests are served")
    return unserved


def test_chunks_that_are_asked_for_are_sent_again_and_no_others(channels, monkeypatch):
    monkeypatch.setattr(dds_channel, "JUST_SENT_S", 0.0)
    left, right = channels("left", 1000, 10**6), channels("right")
    connect(left, right)
    wire = torch.arange(1000, dtype=torch.float32)
    left.send("right", outgoing(wire))
    first = receive(right, 4)
    right.ask("left", Request(KEY, 5, "right", (1, 3)))
    serve(left, lambda _: left.resent == 1)
    again = receive(right, 2)
    assert [(f.chunk, bytes(f.data)) for f in again] == [(i, bytes(first[i].data)) for i in (1, 3)]
    assert again[0].session == KEY.session and list(again[0].shape) == [1000]
    right.ask("left", Request(KEY, 5, "right"))
    serve(left, lambda _: left.resent == 2)
    assert b"".join(bytes(f.data) for f in receive(right, 4)) == wire.numpy().tobytes()


def test_what_was_never_sent_is_reported_and_a_stranger_gets_nothing(channels, monkeypatch):
    monkeypatch.setattr(dds_channel, "JUST_SENT_S", 0.0)
    left, right, third = channels("left", 1000, 10**6), channels("right"), channels("third")
    connect(left, right, third)
    left.send("right", outgoing(torch.zeros(3)))
    receive(right, 1)
    third.ask("left", Request(KEY, 5, "third"))
    third.ask("left", Request(KEY, 99, "third", (7,)))
    assert serve(left, len) == [Request(KEY, 99, "third", (7,))]
    assert left.resent == 0 and third.receive(0.2) is None and right.receive(0.0) is None


def test_what_has_just_been_sent_is_not_sent_again(channels, monkeypatch):
    monkeypatch.setattr(dds_channel, "JUST_SENT_S", 60.0)
    left, right = channels("left", 1000, 10**6), channels("right")
    connect(left, right)
    left.send("right", outgoing(torch.zeros(3)))
    right.ask("left", Request(KEY, 5, "right"))
    right.ask("left", Request(KEY, 6, "right"))
    assert serve(left, len) == [Request(KEY, 6, "right")]
    assert left.resent == 0


def test_a_peer_on_another_host_gets_smaller_chunks(channels):
    left, right = channels("left", 20_000), channels("right")
    left.connect("right", True)
    connect(left, right)  # which does not say where the other is, and changes nothing
    left.remote_chunk_bytes = 1000
    left.send("right", outgoing(torch.zeros(4500, dtype=torch.uint8)))
    assert [len(f.data) for f in receive(right, 5)] == [1000] * 4 + [500]
    left.connect("right", False)
    left.send("right", replace(outgoing(torch.zeros(4500, dtype=torch.uint8)), key=FrameKey(1, 1, 1)))
    assert [len(f.data) for f in receive(right, 1)] == [4500]


def test_only_the_receiver_gets_it(channels):
    left, right, third = channels("left"), channels("right"), channels("third")
    connect(left, right, third)
    left.send("right", outgoing(torch.zeros(3)))
    receive(right, 1)
    assert third.receive(0.2) is None and left.receive(0.0) is None


def test_a_receiver_that_is_not_connected_is_counted(channels):
    left = channels("left")
    assert left.send("nobody", outgoing(torch.zeros(3))) == 0
    assert left.unsent == 1


def test_a_peer_is_matched_only_when_both_can_send(channels):
    left, right = channels("left"), channels("right")
    left.connect("right")
    wait_until(lambda: left._publishers["right"].get_subscription_count() == 1, "left can send")
    time.sleep(0.2)
    assert left.matched() == [] and right.matched() == []
    right.connect("left")
    wait_until(lambda: left.matched() == ["right"] and right.matched() == ["left"], "both can")


def test_a_peer_that_goes_leaves_the_others_matched(channels):
    left, right, third = channels("left"), channels("right"), channels("third")
    connect(left, right, third)
    third.close()
    wait_until(lambda: left.matched() == ["right"] and right.matched() == ["left"], "the third has gone")
    left.send("right", outgoing(torch.zeros(3)))
    receive(right, 1)


def test_a_peer_that_comes_again_is_matched_again(channels):
    left, right = channels("left"), channels("right")
    connect(left, right)
    right.close()
    wait_until(lambda: left.matched() == [], "it has gone")
    again = channels("right")
    again.connect("left")
    wait_until(lambda: left.matched() == ["right"] and again.matched() == ["left"], "it is back")
    left.send("right", outgoing(torch.zeros(3)))
    receive(again, 1)


def test_a_name_that_is_no_topic_or_one_too_many_is_refused(channels, monkeypatch):
    left = channels("left")
    with pytest.raises(UserError, match="cannot be a worker's name"):
        left.connect("a b")
    monkeypatch.setattr(dds_channel, "MAX_PEERS", 1)
    left.connect("right")
    left.connect("right")
    with pytest.raises(UserError, match="has 1 peers already"):
        left.connect("third")
