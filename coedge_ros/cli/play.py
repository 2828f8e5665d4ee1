"""`coedge play`: the images of an MCAP bag as the camera of a cluster."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

from coedge_ros.cli.stopping import stop_on_signal
from coedge_ros.errors import UserError
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE, IMAGE

WAIT_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge play`."""
    parser.add_argument("file", type=Path, metavar="FILE.mcap", help="bag of coedge record or ros2 bag; or its folder")
    parser.add_argument("--topic", default="", help="which images of the bag; may be left out where it is clear")
    parser.add_argument("--rate", type=float, default=1.0, metavar="R", help="so many times as fast as recorded (1)")
    parser.add_argument("--loop", action="store_true", help="begin again after the last image, until Ctrl-C")
    parser.add_argument("--namespace", default=DEFAULT_NAMESPACE, help="namespace of the cluster's nodes")
    parser.add_argument(
        "--image-topic", default=IMAGE, help="topic to publish on; compressed images on TOPIC/compressed"
    )
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="S",
                        help=f"give up when nobody reads the images after this time ({WAIT_S:g})")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Play it."""
    if not (math.isfinite(args.rate) and args.rate > 0):
        raise UserError("--rate must be more than 0: 1 is the pace at which the bag was recorded")
    import rclpy
    from sensor_msgs.msg import CompressedImage

    from coedge_ros.nodes.bag_reader import BagImages
    from coedge_ros.nodes.camera_topics import compressed_topic
    from coedge_ros.nodes.composition import dds_environment
    from coedge_ros.nodes.player import Player

    bag = BagImages(args.file, args.topic)
    os.environ.update(dds_environment())
    context = rclpy.Context()
    with stop_on_signal() as stop:
        rclpy.init(args=[], context=context)
        try:
            topic = compressed_topic(args.image_topic) if bag.kind is CompressedImage else args.image_topic
            player = Player(args.namespace, context, topic)
            player.wait_for_reader(args.wait, stop)
            print(f"playing {bag.topic} of {bag.path}", file=sys.stderr, flush=True)
            while not stop.is_set():
                before = player.count
                player.play(bag, args.rate, stop)
                if not args.loop or player.count == before:
                    break
            player.finish()
            print(f"published {player.count} images")
            player.destroy_node()
        finally:
            rclpy.try_shutdown(context=context)
    return 0
