"""The channel over DDS: one topic per receiver, endpoints made once, large tensors cut into chunks."""

from __future__ import annotations

import array
import time
from collections.abc import Callable, Sequence

import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher

from coedge_ros.errors import UserError
from coedge_ros.execution.codec import encode
from coedge_ros.execution.fragment import PROTOCOL_VERSION, FrameKey, Outgoing, Request
from coedge_ros.execution.sent_log import JUST_SENT_S, Sent, SentLog
from coedge_ros.msg import Fragment, FragmentRequest
from coedge_ros.nodes.qos import FRAGMENT_REQUESTS, fragments_qos
from coedge_ros.nodes.topics import FRAGMENT_REQUESTS as REQUESTS_TOPIC
from coedge_ros.nodes.topics import fragments_topic
from coedge_ros.nodes.wait_set import make_inlet

MAX_PEERS = 256  # names come from the network, and each takes a publisher for good
MAX_CHUNKS = 2**16 - 1  # the field is a uint16
MAX_REQUESTS = 64  # served at once
# One datagram: a larger sample is cut by Fast DDS, whose heartbeats then overtake its pieces and have them sent twice.
# At 100 Mbit/s 64 KB take 5.6 ms in chunks of 30 KB and 12 ms in chunks of 256 KB (benchmarks/network.py).
REMOTE_CHUNK_BYTES = 30720
LIFESPAN_S = 0.3  # then DDS has sent a fragment often enough: who still lacks it asks for it
_NOTHING, _NO_SCALE = array.array("B"), array.array("f")


def data_node_name(participant: str) -> str:
    """Name of the node that carries a participant's data: `worker_1_data`, `manager_data`."""
    return f"{participant}_data"


def make_data_node(control: Node, participant: str) -> Node:
    """The node beside `control` that carries data: in no executor, without services, in the same namespace."""
    return rclpy.create_node(
        data_node_name(participant),
        namespace=control.get_namespace(),
        context=control.context,
        start_parameter_services=False,
        enable_rosout=False,
        use_global_arguments=False,
    )


class DdsChannel:
    """Fragments of one participant, see `execution.fragment.Channel`.

    Parameters
    ----------
    node : Node
        The data node: plain publishers and subscriptions, in no executor.
    name : str
        This participant's name.
    depth : int
        Samples that may be in flight on a topic, over all of its writers.
    chunk_bytes, remote_chunk_bytes : int
        Largest payload of one message, to a peer on this host and to one on another.
    resolve : callable
        The control node's `resolve_topic_name`, so that remappings hold for the data node too.
    resend_bytes : int
        What was sent last is kept up to this size, to be sent again when a receiver lacks it.
    reliable : bool
        See `qos.fragments_qos`.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        depth: int,
        chunk_bytes: int,
        resolve: Callable[[str], str],
        resend_bytes: int = 0,
        reliable: bool = True,
        remote_chunk_bytes: int = REMOTE_CHUNK_BYTES,
    ):
        self.node, self.name, self.depth, self.chunk_bytes, self.resolve = node, name, depth, chunk_bytes, resolve
        self.topic = resolve(fragments_topic(name))
        self._qos = fragments_qos(depth, reliable, LIFESPAN_S)
        self.inlet = make_inlet(node)
        self.subscription = self.inlet.subscribe(Fragment, self.topic, fragments_qos(depth, reliable))
        self.remote_chunk_bytes = remote_chunk_bytes
        self._publishers: dict[str, Publisher] = {}
        self._remote: set[str] = set()  # peers on other hosts
        requests = resolve(REQUESTS_TOPIC)  # one topic for all: requests are rare and small
        self._requests_out = node.create_publisher(FragmentRequest, requests, FRAGMENT_REQUESTS)
        self._requests_in = self.inlet.subscribe(FragmentRequest, requests, FRAGMENT_REQUESTS)
        self._sent = SentLog(resend_bytes)
        self.unsent = 0  # transfers to receivers that are not connected
        self.resent = 0  # transfers that were sent again, whole or in part

    def connect(self, peer: str, is_remote: bool | None = None) -> None:
        """Make the publisher to a peer, once; it stays for the life of the process.

        `is_remote` says whether the peer is on another host; None leaves it as it was known before.

        Raises
        ------
        UserError
            When the name cannot be part of a topic, or there are too many peers already.
        """
        if is_remote is not None:
            (self._remote.add if is_remote else self._remote.discard)(peer)
        if peer == self.name or peer in self._publishers:
            return
        topic = self.resolve(fragments_topic(peer))
        if len(self._publishers) >= MAX_PEERS:
            raise UserError(f"{peer} is not connected: {self.name} has {MAX_PEERS} peers already")
        self._publishers[peer] = self.node.create_publisher(Fragment, topic, self._qos)

    def matched(self) -> list[str]:
        """Peers whose fragment endpoints match both ways, in the order of their names; called by any thread."""
        if not self.node.context.ok():
            return []
        senders = {info.node_name for info in self.node.get_publishers_info_by_topic(self.topic)}
        return sorted(
            name
            for name, publisher in list(self._publishers.items())
            if data_node_name(name) in senders and publisher.get_subscription_count() > 0
        )

    def send(self, receiver: str, item: Outgoing) -> int:
        """Send a transfer in chunks; returns what it took in bytes. An unknown receiver is counted in `unsent`."""
        publisher = self._publishers.get(receiver)
        if publisher is None:
            self.unsent += 1
            return 0
        transfer = item.transfer
        coded = encode(item.wire, transfer.codec)
        payload = coded.data
        chunk_bytes = self.remote_chunk_bytes if receiver in self._remote else self.chunk_bytes
        size = max(chunk_bytes, -(-len(payload) // MAX_CHUNKS))
        message = Fragment()
        message.protocol_version = PROTOCOL_VERSION
        message.session, message.epoch, message.frame = item.key.session, item.key.epoch, item.key.frame
        message.transfer = transfer.index
        message.chunk_count = max(1, -(-len(payload) // size))
        message.model_digest, message.source = item.model_digest, item.source
        if transfer.rows:
            message.row_start, message.row_stop = transfer.rows.start, transfer.rows.stop
        message.shape = array.array("I", transfer.wire_shape)
        message.dtype = transfer.dtype
        message.codec = int(coded.codec)
        scale = array.array("f", coded.scale.tobytes())
        chunks = []
        for chunk in range(message.chunk_count):
            message.chunk, message.scale = chunk, scale if chunk == 0 else _NO_SCALE
            data = array.array("B")
            # Filling from the buffer protocol; any other assignment to uint8[] checks byte by byte.
            data.frombytes(memoryview(payload[chunk * size : (chunk + 1) * size]))
            message.data = data
            publisher.publish(message)
            chunks.append(data)
        message.data = _NOTHING
        sent = Sent(receiver, (message, scale, chunks), coded.size_bytes, time.perf_counter())
        self._sent.keep(item.key, transfer.index, sent)
        return coded.size_bytes

    def receive(self, timeout_s: float) -> Fragment | None:
        """Next fragment; waits for at most `timeout_s`."""
        message = self.inlet.take(self.subscription)
        if message is None and timeout_s > 0:
            self.inlet.wait(timeout_s)
            message = self.inlet.take(self.subscription)
        return message

    def ask(self, source: str, request: Request) -> None:
        """Ask a sender for what is missing."""
        message = FragmentRequest()
        message.protocol_version = PROTOCOL_VERSION
        message.session, message.epoch, message.frame = request.key.session, request.key.epoch, request.key.frame
        message.transfer, message.chunks = request.transfer, array.array("H", request.chunks)
        message.requester, message.source = request.requester, source
        self._requests_out.publish(message)

    def serve_requests(self) -> list[Request]:
        """Send again what others ask this participant for; returns the requests for what it does not have."""
        unserved: list[Request] = []
        for _ in range(MAX_REQUESTS):
            message = self.inlet.take(self._requests_in)
            if message is None:
                break
            if message.source != self.name or message.protocol_version != PROTOCOL_VERSION:
                continue
            key = FrameKey(message.session, message.epoch, message.frame)
            sent = self._sent.find(key, message.transfer)
            if sent is None:
                unserved.append(Request(key, message.transfer, message.requester, tuple(message.chunks)))
            elif sent.receiver == message.requester:
                self._send_again(sent, message.chunks)
        return unserved

    def _send_again(self, sent: Sent, wanted: Sequence[int]) -> None:
        now = time.perf_counter()
        if now - sent.at_s < JUST_SENT_S:
            return
        sent.at_s = now
        message, scale, chunks = sent.payload
        for chunk in wanted or range(len(chunks)):
            if chunk < len(chunks):
                message.chunk, message.data = chunk, chunks[chunk]
                message.scale = scale if chunk == 0 else _NO_SCALE
                self._publishers[sent.receiver].publish(message)
        message.data = _NOTHING
        self.resent += 1

    def close(self) -> None:
        """Let go of everything, the node included."""
        self.inlet.close()
        self.node.destroy_node()
