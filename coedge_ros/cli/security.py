"""`coedge security`: the SROS2 policy of a cluster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from coedge_ros.errors import UserError
from coedge_ros.nodes.camera_topics import TRANSPORTS, topics_of_text
from coedge_ros.nodes.composition import cluster_of
from coedge_ros.nodes.security_policy import cluster_access, policy_xml
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE, IMAGE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge security`; those it shares with `coedge up` must be given the same way to both."""
    parser.add_argument("--cluster", default="", help="cluster file; the one that is shipped when left out")
    parser.add_argument("--namespace", default=DEFAULT_NAMESPACE, help="namespace of all nodes")
    parser.add_argument("--image-topic", default=IMAGE, help="topic of the images")
    parser.add_argument("--image-topics", default="", metavar="TOPIC,TOPIC", help="of several cameras, instead")
    parser.add_argument("--image-transport", choices=TRANSPORTS, default="raw", help="how images come")
    parser.add_argument("--enclave", default=None, help="prefix of the enclaves; the namespace when left out")
    parser.add_argument("--also-subscribe", action="append", default=[], metavar="TOPIC",
                        help="topic that all nodes may read as well: /clock, a battery's; may be repeated")  # fmt: skip
    parser.add_argument("--output", default="-", metavar="FILE", help="where the policy goes; - for the terminal")


def run(args: argparse.Namespace) -> int:
    """Write the policy."""
    cluster = cluster_of(args.cluster)
    cameras = topics_of_text(args.image_topics) or args.image_topic
    text = policy_xml(
        cluster_access(cluster, args.namespace, cameras, args.enclave, args.also_subscribe, args.image_transport)
    )
    if args.output == "-":
        sys.stdout.write(text)
        return 0
    try:
        Path(args.output).write_text(text)
    except OSError as error:
        raise UserError(f"--output: {args.output} cannot be written: {error.strerror}") from error
    print(f"wrote {args.output}")
    return 0
