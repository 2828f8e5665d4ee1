"""`coedge chaos --only fuzz`: broken messages on every topic that manager and workers read, beside real frames."""

from __future__ import annotations

import random
import time
from contextlib import AbstractContextManager

import numpy as np
import psutil
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from coedge_ros.cli.chaos_scenarios import Found, Hands
from coedge_ros.cli.chaos_setting import Setting, slow_boards
from coedge_ros.nodes.compressed_images import FORMATS, encode_compressed
from coedge_ros.nodes.intruder import FAR, Intruder, node_names
from coedge_ros.nodes.topics import COMPRESSED_SUFFIX, IMAGE

BURST = 10  # broken messages between two looks at the real frames
# Growth of one process. What it keeps on purpose is bounded and fills while forged pictures are served: chunks that it
# has sent (`resend_bytes`, 32 MB), pictures that wait.
MEMORY_LIMIT_BYTES = 96 * 2**20
ARRIVED_LIMIT = 0.8  # of the broken fragments: refused and counted; some fit all the same, of frames that nobody sent
BACK_LIMIT_S = 60.0
CONNECT_LIMIT_S = 10.0
# Forged pictures that can be read wait as real ones do: a queue of a thousand would be what grows.
QUEUE_FRAMES = 60


def fuzz(hands: Hands, messages: int) -> Found:
    """Broken messages on all topics: nobody ends, memory stays bounded, all real frames are answered right."""
    intruder = Intruder(hands.listening.node, node_names(hands.workers), hands.rng)
    if hands.traffic.run_until(lambda: intruder.is_informed, CONNECT_LIMIT_S) is None:
        return Found(problems=("not all nodes were found",))
    intruder.overhear(lambda: hands.traffic.run_for(2.0))
    intruder.open()
    if hands.traffic.run_until(lambda: intruder.is_connected, CONNECT_LIMIT_S) is None:
        return Found(problems=("not all topics have readers",))
    children = dict(hands.cluster.group.children)
    before, refused = resident_bytes(children), refused_fragments(hands)
    for topic, kind in intruder.types.items():
        if kind is CompressedImage:  # the traffic is raw: what would be broken without it is random bytes only
            intruder.good[topic] += compressed_pictures(hands.rng)
    # Broken pictures come alone: where many come at once they push real ones out of the camera's queue, as they should.
    pictures = [topic for topic, kind in intruder.types.items() if kind in (Image, CompressedImage)]
    others = [topic for topic in sorted(intruder.types) if topic not in pictures]
    half = before
    for number in range(messages):
        if number == messages // 2:
            half = resident_bytes(children)
        is_picture = number * len(intruder.types) >= messages * len(others)
        if is_picture and not any(intruder.sent[picture] for picture in pictures):
            hands.traffic.settle()
        intruder.send(pictures if is_picture else others)
        if number % BURST == 0:
            hands.traffic.step(sends=not is_picture)
    intruder.flush()
    intruder.close()
    forget_forged_plans(hands)
    problems = [f"{name} ended with {code}" for name, code in hands.cluster.group.ended().items()]
    began = time.monotonic()
    back_s = hands.traffic.run_until(hands.all_used, BACK_LIMIT_S)
    if back_s is None:
        problems.append(f"not all workers were used again within {BACK_LIMIT_S:g} s")
    hands.traffic.settle()  # the frames beside which it was done
    fallbacks = len(hands.traffic.account.fallbacks)
    hands.traffic.run_for(1.0)
    hands.traffic.settle()
    if len(hands.traffic.account.fallbacks) > fallbacks:
        problems.append("the manager answered by itself when it was over")
    growth = {n: size - before[n] for n, size in resident_bytes(children).items()}
    problems += [f"{n} grew by {g / 1e6:.0f} MB" for n, g in growth.items() if g > MEMORY_LIMIT_BYTES]
    fragments = sum(count for topic, count in intruder.sent.items() if "/fragments/" in topic)
    newly = refused_fragments(hands) - refused
    if newly < ARRIVED_LIMIT * fragments:
        problems.append(f"of {fragments} broken fragments {newly} were refused")
    return Found(
        None, None, tuple(problems), fallback_allowed=True,
        figures={
            "messages": sum(intruder.sent.values()), "messages_by_topic": dict(sorted(intruder.sent.items())),
            "fragments_refused": newly, "back_s": round(time.monotonic() - began, 2),
            "memory_growth_mb": {n: round(g / 1e6, 1) for n, g in growth.items()},
            "memory_growth_of_first_half_mb": {n: round((size - before[n]) / 1e6, 1) for n, size in half.items()},
        },
    )  # fmt: skip


def two_cameras(setting: Setting) -> AbstractContextManager[Hands]:
    """Slow boards whose manager reads a second camera too, which is compressed and sends nothing by itself."""
    cameras = [IMAGE, f"second/{COMPRESSED_SUFFIX}"]
    return slow_boards(setting, {"image_topics": cameras, "queue_frames": QUEUE_FRAMES})


def compressed_pictures(rng: random.Random) -> list[CompressedImage]:
    """Good pictures of either kind, with stamps that no real one has."""
    rgb = np.frombuffer(rng.randbytes(24 * 32 * 3), np.uint8).reshape(24, 32, 3)
    header = Header(frame_id="second")
    header.stamp.sec = FAR
    return [encode_compressed(rgb, header, kind) for kind in FORMATS]


def resident_bytes(children: dict) -> dict[str, int]:
    """Resident memory of processes."""
    return {name: psutil.Process(child.pid).memory_info().rss for name, child in children.items()}


def refused_fragments(hands: Hands) -> int:
    """Fragments that manager and workers have refused, as they say."""
    said = [hands.status, *(hands.listening.record.workers[name] for name in hands.workers)]
    return sum(sum(status.rejected_counts) for status in said)


def forget_forged_plans(hands: Hands) -> None:
    """Keep what the manager has published: forgeries of its plans came later, others are of epochs it has not made."""
    kept = {}
    for plan in hands.listening.record.plans:
        if plan.session == hands.status.session and plan.epoch <= hands.status.epoch:
            kept.setdefault(plan.epoch, plan)
    hands.listening.record.plans[:] = kept.values()
