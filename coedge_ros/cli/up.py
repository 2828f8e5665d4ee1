"""`coedge up`: the processes of a cluster, computed as the launch file computes them, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from coedge_ros.cli.planning_inputs import parse_size
from coedge_ros.nodes.camera_topics import TRANSPORTS, topics_of_text
from coedge_ros.nodes.composition import ClusterOptions, cluster_of, cluster_processes, dds_environment
from coedge_ros.nodes.processes import ProcessGroup
from coedge_ros.nodes.shared_memory import remove_stale_segments
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE
from coedge_ros.spec.codec import CODECS

USER_ERROR = 2  # exit code of the user's mistake, of all commands and nodes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge up`, the same as those of cluster.launch.py."""
    parser.add_argument("--cluster", default="", help="cluster file; the one that is shipped when left out")
    parser.add_argument("--model", default="mobilenet_v2", help="zoo name, package.module:factory, or a .pt2 file")
    parser.add_argument("--weights", default="imagenet", help="file of weights, or imagenet or faces for the zoo's own")
    parser.add_argument("--input", default="", metavar="HxW", help="input size of the model; its own when left out")
    parser.add_argument("--source", default="example", help="what the camera publishes: folder, picture, video, webcam "
                        "number, example, example_video; '' for no camera node")  # fmt: skip
    parser.add_argument("--image-topic", default="image", help="topic of the images")
    parser.add_argument("--image-topics", default="", metavar="TOPIC,TOPIC", help="of several cameras, instead")
    parser.add_argument("--image-transport", choices=TRANSPORTS, default="raw",
                        help="how images come: raw, or compressed on TOPIC/compressed")  # fmt: skip
    parser.add_argument("--namespace", default=DEFAULT_NAMESPACE, help="namespace of all nodes")
    parser.add_argument("--enclave", default="", metavar="PREFIX",
                        help="SROS2: run each process in the enclave PREFIX/NAME; see coedge security")  # fmt: skip
    parser.add_argument("--use-sim-time", action="store_true", help="take the time of stamps from /clock")
    parser.add_argument("--host", default="", help="start only the workers that the cluster file puts on this host")
    parser.add_argument("--only", choices=("all", "manager", "workers"), default="all", help="what to start here")
    parser.add_argument("--planner", default="fused", help="how rows are shared out")
    parser.add_argument(
        "--objective", choices=("latency", "energy", "throughput"), default="latency",
        help="what is made small; energy without a deadline splits nothing, the least energy is one worker",
    )  # fmt: skip
    parser.add_argument("--deadline-ms", type=float, default=0.0, help="latency deadline of a frame; 0 for none")
    parser.add_argument(
        "--codec", choices=CODECS, default="raw", help="coarsest coding of rows between workers; used where it pays"
    )
    parser.add_argument("--loop", action="store_true", help="play the source again and again")
    parser.add_argument("--rate", type=float, default=10.0, help="images per second of the source")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warn", "error"), help="of all nodes")
    parser.add_argument(
        "--log-folder", type=Path, default=None, help="one log file per process, instead of the terminal"
    )


def input_size(text: str) -> tuple[int, int]:
    """`HxW` as two numbers, (0, 0) for an empty text, which stands for the model's own."""
    return parse_size(text) or (0, 0)


def check_model(model: str, weights: str) -> None:
    """Refuse here what every process would refuse later, each in its own log.

    Raises
    ------
    UserError
        For a name that the zoo does not have, or a file that is not there.
    """
    from coedge_ros.errors import UserError
    from coedge_ros.graph.zoo.registry import DATA_SETS, zoo_entry

    if weights not in ("", *DATA_SETS) and not Path(weights).is_file():
        raise UserError(f"--weights: there is no file {weights}")
    if ":" not in model and not model.endswith(".pt2"):
        zoo_entry(model)


def run(args: argparse.Namespace) -> int:
    """Start everything; until Ctrl-C, or a process that cannot work as it was started."""
    height, width = input_size(args.input)
    check_model(args.model, args.weights)
    options = ClusterOptions(
        cluster=args.cluster, model=args.model, weights=args.weights, height=height, width=width, source=args.source,
        image_topic=args.image_topic, image_topics=topics_of_text(args.image_topics),
        image_transport=args.image_transport, namespace=args.namespace, host=args.host, enclave=args.enclave,
        use_sim_time=args.use_sim_time,
        camera={"loop": args.loop, "rate_hz": args.rate, "wait_for_subscribers": 2, "wait_timeout_s": 300.0},
        manager={
            "planner": args.planner, "objective": args.objective, "deadline_s": args.deadline_ms / 1e3,
            "codec": args.codec,
        },
        with_manager=args.only != "workers", with_workers=args.only != "manager",
    )  # fmt: skip
    specs = cluster_processes(options)
    profile = dds_environment(cluster_of(options.cluster).network)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    remove_stale_segments()
    try:
        with ProcessGroup(profile, args.log_folder, args.log_level) as group:
            try:
                group.start(specs)
                return watch(group)
            except KeyboardInterrupt:
                print("stopping", file=sys.stderr)
                return 0
    finally:
        remove_stale_segments()


def watch(group: ProcessGroup) -> int:
    """Wait until all have ended, or one has ended as a user's mistake does; that one's exit code, else 0.

    A worker that crashes is no reason to end: the others go on without it.
    """
    reported: set[str] = set()
    while len(group.ended()) < len(group.children):
        for name, code in group.ended().items():
            if name not in reported:
                reported.add(name)
                print(f"{name} ended with {code}", file=sys.stderr)
            if code == USER_ERROR:
                return code
        time.sleep(0.2)
    return max(group.ended().values(), default=0)


def _interrupt(signum, frame) -> None:
    raise KeyboardInterrupt
