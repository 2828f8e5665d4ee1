"""`coedge doctor`: what is wrong with this host, or with the running cluster, and what to change."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from coedge_ros.cli import doctor_host, doctor_system
from coedge_ros.errors import UserError
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE
from coedge_ros.spec.cluster import ClusterSpec
from coedge_ros.spec.finding import Finding, Level, has_failed

_WHEELS = {"7": "jazzy", "9": "kilted"}  # first number of rclpy's version
_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
_BESIDE = 3  # manager, load visualizer, camera


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge doctor`."""
    parser.add_argument("--cluster", default="", metavar="FILE", help="cluster file; the shipped one when left out")
    parser.add_argument("--host", default="", help="name of this host in the cluster file")
    parser.add_argument("--live", action="store_true", help="listen to the running cluster too")
    parser.add_argument(
        "--listen",
        type=float,
        default=4.0,
        metavar="S",
        help="with --live: seconds to listen, twice as long when somebody is missing",
    )
    parser.add_argument("--namespace", default=DEFAULT_NAMESPACE, help="with --live: namespace of the cluster's nodes")
    parser.add_argument("--remove-stale", action="store_true", help="remove shared memory that killed processes left")
    parser.add_argument("--json", default="", metavar="FILE", help="write the findings as JSON; - for standard output")


def run(args: argparse.Namespace) -> int:
    """Check, print; 1 when something failed."""
    from coedge_ros.nodes.composition import share_folder

    if not args.listen > 0:
        raise UserError("--listen must be more than 0 seconds")
    config = share_folder() / "config"
    if args.remove_stale:
        from coedge_ros.nodes.shared_memory import remove_stale_segments

        remove_stale_segments()
    findings, cluster = host_findings(Path(args.cluster or config / "cluster.yaml"), args.host, config)
    if args.live:
        from coedge_ros.nodes.composition import dds_environment
        from coedge_ros.nodes.examination import examine

        os.environ.update(dds_environment(cluster.network if cluster else "wired"))
        findings += examine(args.namespace, cluster, args.listen)
    if args.json:
        text = json.dumps({"failed": has_failed(findings), "findings": [asdict(f) for f in findings]}, indent=1)
        if args.json == "-":
            print(text)
        else:
            Path(args.json).write_text(text + "\n", encoding="utf-8")
    if args.json != "-":
        _print(findings)
    return int(has_failed(findings))


def host_findings(path: Path, host: str, config: Path) -> tuple[list[Finding], ClusterSpec | None]:
    """All checks of this host; also the cluster, where its file can be read."""
    from coedge_ros.nodes.composition import dds_environment
    from coedge_ros.nodes.shared_memory import FOLDER, stale_segments

    proc, distro = Path("/proc"), _distro()
    file, cluster = doctor_host.check_cluster_file(path, host)
    hosts = len(cluster.hosts) if cluster else 1
    network = cluster.network if cluster else "wired"
    profile_finding, profile = doctor_host.check_profile(os.environ, config, network, distro)
    workers = [w for w in cluster.workers if host in ("", w.host)] if cluster else []
    sharing = _BESIDE if dds_environment() else len(workers) + _BESIDE  # a profile of the user's is the workers' too
    findings = [
        *doctor_host.check_versions(
            sys.version_info[:2], _version("torch"), distro, platform.machine(), find_spec("rclpy") is not None
        ),
        file,
        doctor_host.check_domain(os.environ, doctor_system.local_ports(proc)),
        doctor_host.check_middleware(os.environ),
        profile_finding,
        doctor_host.check_discovery(os.environ, hosts),
        *doctor_system.check_socket_buffers(proc, profile),
        doctor_system.check_shared_memory(_size(FOLDER), sharing, profile),
        doctor_system.check_stale(stale_segments()),
        *doctor_system.check_interfaces(
            Path("/sys"), hosts, network, cluster.default_link.bytes_per_s if cluster else 0.0
        ),
    ]
    return findings, cluster


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _distro() -> str:
    return os.environ.get("ROS_DISTRO", "") or _WHEELS.get(_version("ros-rclpy").partition(".")[0], "")


def _size(folder: Path) -> tuple[int, int] | None:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.total, usage.free


def _print(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=False)
    for column in ("check", "", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        state = Text(finding.level.value, style=_STYLES[finding.level])
        table.add_row(Text(finding.check), state, Text(finding.found), Text(finding.cure))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    counts = {level: sum(f.level is level for f in findings) for level in Level}
    console.print(", ".join(f"{counts[level]} {level.value}" for level in Level), highlight=False)
