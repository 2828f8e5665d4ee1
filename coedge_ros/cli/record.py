"""`coedge record`: what a cluster says, as an MCAP file for `ros2 bag`, Foxglove and `coedge play`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from coedge_ros.cli.stopping import stop_on_signal
from coedge_ros.errors import UserError
from coedge_ros.nodes.camera_topics import TRANSPORTS, camera_topics, topics_of_text
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE, IMAGE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge record`."""
    parser.add_argument(
        "file", type=Path, metavar="FILE.mcap", help="file to write; one that exists is not overwritten"
    )
    parser.add_argument("--namespace", default=DEFAULT_NAMESPACE, help="namespace of the cluster's nodes")
    parser.add_argument("--seconds", type=float, default=0.0, metavar="S", help="end after this time; else by Ctrl-C")
    parser.add_argument("--images", action="store_true", help="record the camera's and the annotated images too")
    parser.add_argument("--image-topic", default=IMAGE, metavar="TOPIC[,TOPIC]", help="with --images: of the cameras")
    parser.add_argument("--image-transport", choices=TRANSPORTS, default="raw", help="with --images: how they come")


def run(args: argparse.Namespace) -> int:
    """Record; 1 when nothing came."""
    if args.seconds < 0:
        raise UserError("--seconds must not be negative")
    if args.file.suffix != ".mcap":
        raise UserError(f"{args.file}: the name must end in .mcap, by which ros2 bag and Foxglove know the format")
    from coedge_ros.nodes.bag_writer import BagWriter
    from coedge_ros.nodes.collector import Listening
    from coedge_ros.nodes.composition import dds_environment
    from coedge_ros.nodes.recorder import Recorder

    cameras = camera_topics(topics_of_text(args.image_topic), args.image_transport) if args.images else ()
    os.environ.update(dds_environment())
    began_s = time.monotonic()
    end = began_s + args.seconds if args.seconds else float("inf")
    with stop_on_signal() as stop, BagWriter(args.file) as writer:

        def make(namespace, context) -> Recorder:
            return Recorder(namespace, context, writer, cameras)

        with Listening(args.namespace, make=make) as listening:
            print(f"recording to {args.file}" + ("" if args.seconds else ", until Ctrl-C"), file=sys.stderr, flush=True)
            while not stop.is_set() and (left_s := end - time.monotonic()) > 0:
                listening.spin(min(left_s, 0.1))
    for topic, count in sorted(writer.counts.items()):
        print(f"{count:8d}  {topic}")
    size, seconds = args.file.stat().st_size, time.monotonic() - began_s
    print(f"{writer.counts.total()} messages, {size / 1e6:.2f} MB, {seconds:.1f} s: {args.file}")
    if not writer.counts:
        print(f"coedge record: nothing heard of a cluster in namespace {args.namespace!r}", file=sys.stderr)
    return int(not writer.counts)
