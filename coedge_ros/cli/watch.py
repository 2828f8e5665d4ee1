"""`coedge watch`: a running cluster in the terminal, live. It only listens."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from coedge_ros.cli.stopping import stop_on_signal
from coedge_ros.errors import UserError
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from rich.console import Console

REFRESH_S = 0.25  # of the live picture
SNAPSHOT_S = 3.0  # between two pictures where the output is no terminal
ONCE_S = 3.0  # --once: long enough for bytes per second, and for a cluster that is just starting
WIDTH, HEIGHT = 100, 30  # where there is no terminal to ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge watch`."""
    parser.add_argument("--namespace", default=DEFAULT_NAMESPACE, help="namespace of the cluster's nodes")
    parser.add_argument("--once", action="store_true", help="listen for a moment, print one picture and end")
    parser.add_argument(
        "--seconds", type=float, default=0.0, metavar="S",
        help=f"end after this time; with --once listen so long ({ONCE_S:g}); until Ctrl-C when left out",
    )  # fmt: skip
    parser.add_argument("--width", type=int, default=0, help="columns of the picture; the terminal's when left out")
    parser.add_argument("--height", type=int, default=0, help="lines of the picture; the terminal's when left out")


def run(args: argparse.Namespace) -> int:
    """Show the cluster; 1 when --once, or a watch that has ended by itself, has heard nothing."""
    if args.seconds < 0:
        raise UserError("--seconds must not be negative")
    from rich.console import Console

    from coedge_ros.nodes.collector import Listening
    from coedge_ros.nodes.composition import dds_environment
    from coedge_ros.nodes.watcher import Watcher

    os.environ.update(dds_environment())
    console = Console()
    with stop_on_signal() as stop, Listening(args.namespace, make=Watcher) as listening:

        def hear(seconds: float) -> None:
            end = time.monotonic() + seconds
            while not stop.is_set() and (left_s := end - time.monotonic()) > 0:
                listening.spin(min(left_s, 0.1))

        def picture() -> object:
            return _picture(listening.node.view(), console, args)

        if args.once:
            hear(args.seconds or ONCE_S)
            _print(console, picture, args)
        elif console.is_terminal:
            _live(console, picture, hear, stop, args.seconds)
        else:
            _snapshots(console, picture, hear, stop, args)
        if not listening.node.has_heard:
            domain = os.environ.get("ROS_DOMAIN_ID", "0")
            print(f"coedge watch: nothing heard of a cluster in namespace {args.namespace!r}, ROS_DOMAIN_ID {domain}",
                  file=sys.stderr)  # fmt: skip
            return int(not stop.is_set())
    return 0


def _picture(view, console: Console, args: argparse.Namespace):
    from coedge_ros.drawing.terminal import draw_cluster

    size = console.size if console.is_terminal else None
    width = args.width or (size.width if size else WIDTH)
    return draw_cluster(view, width, args.height or (size.height if size else HEIGHT))


def _print(console: Console, picture: Callable, args: argparse.Namespace) -> None:
    """One picture. Where the output is no terminal rich would fold it at 80 columns."""
    if not console.is_terminal:
        console.width = max(args.width or WIDTH, WIDTH)
    console.print(picture())


def _live(console: Console, picture: Callable, hear: Callable, stop: threading.Event, limit_s: float) -> None:
    from rich.live import Live

    end = time.monotonic() + limit_s if limit_s else float("inf")
    # On the other screen, as editors do: what was in the terminal before is there again afterwards.
    with Live(picture(), console=console, screen=True, auto_refresh=False) as live:
        while not stop.is_set() and time.monotonic() < end:
            hear(min(REFRESH_S, end - time.monotonic()))
            live.update(picture(), refresh=True)
    console.print(picture())  # the last one stays


def _snapshots(
    console: Console, picture: Callable, hear: Callable, stop: threading.Event, args: argparse.Namespace
) -> None:
    end = time.monotonic() + args.seconds if args.seconds else float("inf")
    while not stop.is_set() and time.monotonic() < end:
        hear(min(SNAPSHOT_S, end - time.monotonic()))
        if not stop.is_set():
            _print(console, picture, args)
            console.file.flush()  # a reader of a pipe sees each picture when it is made
