"""The data plane between two hosts that are network namespaces of this machine. Needs root, `ip`, `tc`, `nft` for loss.

Two parts. `goodput`: tensors of 64 KB to 1 MB over a link shaped to 100 Mbit/s, several chunk sizes: one way time and
the part of the link's rate that arrives, which shows whether large RELIABLE samples collapse into retransmission. Once
between ends that look for messages all the time, and once between ends that sleep until one comes, on idle processors:
what those take to wake up is no fault of the link's, but part of a frame where a host has nothing else to do.
`loss`: the same tensors RELIABLE against BEST_EFFORT with our own requests for what is missing, by history depth and
heartbeat, at 0 and 5 % random loss per packet: how many arrive, and when. What is shipped follows from these tables.

    sudo python benchmarks/network.py goodput --json benchmarks/results/goodput.json
    sudo python benchmarks/network.py loss --json benchmarks/results/loss.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from coedge_ros.nodes.composition import dds_profile

A, B = "coedge_a", "coedge_b"
RATE_BYTES_S = 12.5e6
SIZES = (65536, 262144, 1048576)
LIMIT_S = 60.0


def sh(*command: str, check: bool = True) -> str:
    """Run a command and return what it printed."""
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout


class TwoHosts:
    """Two namespaces with one link: shaped, and losing packets at ingress, in both directions."""

    def __init__(self, rate_mbit_s: float = 0.0, loss_percent: int = 0):
        self.rate_mbit_s, self.loss_percent = rate_mbit_s, loss_percent

    def __enter__(self) -> TwoHosts:
        self._remove()
        for name in (A, B):
            sh("ip", "netns", "add", name)
        sh("ip", "link", "add", "coedge_va", "netns", A, "type", "veth", "peer", "name", "coedge_vb", "netns", B)
        for name, link, address in ((A, "coedge_va", "10.77.0.1/24"), (B, "coedge_vb", "10.77.0.2/24")):
            sh("ip", "-n", name, "addr", "add", address, "dev", link)
            for device in ("lo", link):
                sh("ip", "-n", name, "link", "set", device, "up")
            sh("ip", "-n", name, "route", "add", "multicast", "224.0.0.0/4", "dev", link, check=False)
            sh("ip", "-n", name, "route", "add", "224.0.0.0/4", "dev", link, check=False)
            if self.rate_mbit_s:
                rate = f"{self.rate_mbit_s}mbit"
                sh("tc", "-n", name, "qdisc", "add", "dev", link, "root", "tbf", "rate", rate, "burst", "32kbit",
                   "latency", "400ms")  # fmt: skip
            if self.loss_percent:
                rules = (
                    "add table netdev loss\n"
                    f"add chain netdev loss in {{ type filter hook ingress device {link} priority 0; }}\n"
                    f"add rule netdev loss in numgen random mod 100 < {self.loss_percent} drop\n"
                )
                subprocess.run(["ip", "netns", "exec", name, "nft", "-f", "-"], input=rules, text=True, check=True)
        return self

    def __exit__(self, *exception) -> None:
        self._remove()

    @staticmethod
    def _remove() -> None:
        for name in (A, B):
            sh("ip", "netns", "del", name, check=False)

    def start(self, name: str, code: str, profile: Path, **options) -> subprocess.Popen:
        """Start Python in a namespace, with a Fast DDS profile of its own."""
        environment = {
            **os.environ, "ROS_DOMAIN_ID": "77", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "PYTHONSAFEPATH": "1",
            "FASTDDS_DEFAULT_PROFILES_FILE": str(profile), "FASTRTPS_DEFAULT_PROFILES_FILE": str(profile),
        }  # fmt: skip
        return subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", code], env=environment, **options)


def profile_text(network: str, heartbeat_ms: int = 10, shared_memory: bool = False) -> str:
    """A profile of the package with another heartbeat, and without shared memory: the namespaces share /dev/shm."""
    text = dds_profile(network).read_text(encoding="utf-8")
    if not shared_memory:
        text = text.replace(
            "<transport_id>coedge_shm</transport_id>\n          <transport_id>coedge_udp", "<transport_id>coedge_udp"
        )
        assert text.count("coedge_shm") == 1, "the transport is defined and not used"
    return text.replace("<nanosec>10000000<", f"<nanosec>{heartbeat_ms * 1000000}<")


NEAR = """
import json
from dataclasses import asdict
from coedge_ros.nodes.link_probe import near
figures = near(repeats={repeats}, chunk_bytes={chunk}, sizes={sizes}, qos={qos}, is_awake={awake})
print(json.dumps({{"trips": figures.round_trip_s, "lost": figures.lost, "alpha_s": figures.link.alpha_s,
                   "bytes_per_s": figures.link.bytes_per_s}}))
"""
FAR = "from coedge_ros.nodes.link_probe import far; far(chunk_bytes={chunk}, qos={qos}, is_awake={awake})"


def measure(
    hosts: TwoHosts, profile: Path, chunk: int, repeats: int, sizes=SIZES, qos=None, awake: bool = False
) -> dict | None:
    """Round trips between the two; None when they did not end in time."""
    far = hosts.start(B, FAR.format(chunk=chunk, qos=repr(qos), awake=awake), profile, stderr=subprocess.DEVNULL)
    code = NEAR.format(repeats=repeats, chunk=chunk, sizes=repr(tuple(sizes)), qos=repr(qos), awake=awake)
    near = hosts.start(A, code, profile, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = near.communicate(timeout=LIMIT_S)
        if near.returncode:
            Console(stderr=True).print(err[-600:], markup=False)
            return None
        return json.loads(out.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return None
    finally:
        for process in (near, far):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def goodput(args) -> list[dict]:
    """Tensors over the shaped link, for chunk sizes and both profiles."""
    found = []
    cases = [(n, c) for n in ("wired", "wireless") for c in args.chunks]
    with tempfile.TemporaryDirectory() as folder, TwoHosts(args.rate) as hosts:
        for network, chunk in track(cases, "goodput", console=Console(stderr=True)):
            profile = Path(folder) / "profile.xml"
            profile.write_text(profile_text(network))
            awake, asleep = (measure(hosts, profile, chunk, args.repeats, awake=is_awake) for is_awake in (True, False))
            for size in SIZES:
                trips, sleepy = (result["trips"][str(size)] if result else [] for result in (awake, asleep))
                one_way, slow = (float(np.median(t)) - 0.0002 if t else float("nan") for t in (trips, sleepy))
                found.append({
                    "network": network, "chunk_bytes": chunk, "size_bytes": size, "one_way_ms": round(one_way * 1e3, 2),
                    "p99_ms": round(float(np.percentile(trips, 99)) * 1e3, 2) if trips else None,
                    "goodput": round(size / one_way / (args.rate * 125e3), 3),
                    "goodput_asleep": round(size / slow / (args.rate * 125e3), 3), "lost": awake and awake["lost"],
                })  # fmt: skip
    return found


def loss(args) -> list[dict]:
    """Reliability settings, without and with loss."""
    cases = [
        (percent, network, reliable, depth, heartbeat)
        for percent in (0, 5)
        for network, reliable, depth, heartbeat in (
            ("wired", True, 256, 10), ("wireless", True, 256, 10), ("wireless", True, 256, 100),
            ("wireless", True, 256, 3000), ("wireless", True, 8, 10), ("wireless", False, 256, 10),
        )
    ]  # fmt: skip
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for percent, network, reliable, depth, heartbeat in track(cases, "loss", console=Console(stderr=True)):
            profile = Path(folder) / "profile.xml"
            profile.write_text(profile_text(network, heartbeat))
            with TwoHosts(0.0, percent) as hosts:
                qos = {"reliable": reliable, "depth": depth, "ask_after_s": 0.02}
                result = measure(hosts, profile, 65536, args.repeats, (65536, 262144), qos)
            row = {"loss_percent": percent, "network": network, "depth": depth, "heartbeat_ms": heartbeat,
                   "reliability": "RELIABLE" if reliable else "BEST_EFFORT, asking after 20 ms"}  # fmt: skip
            for size in (65536, 262144):
                trips = result["trips"][str(size)] if result else []
                row[f"p50_ms_{size >> 10}k"] = round(float(np.median(trips)) * 1e3, 2) if trips else None
                row[f"p99_ms_{size >> 10}k"] = round(float(np.percentile(trips, 99)) * 1e3, 2) if trips else None
            row["lost"] = result["lost"] if result else "did not end"
            found.append(row)
    return found


def main() -> int:
    """Run one part and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("goodput", "loss"))
    parser.add_argument("--rate", type=float, default=100.0, help="Mbit/s of the link (goodput)")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--chunks", type=int, nargs="+", default=[16384, 30720, 61440, 262144, 1048576])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "tc"))):
        print("needs root, ip and tc: it makes two network namespaces and a shaped link between them", file=sys.stderr)
        return 2
    if args.part == "loss" and not shutil.which("nft"):
        print("needs nft (package nftables) to lose packets", file=sys.stderr)
        return 2
    began = time.monotonic()
    found = goodput(args) if args.part == "goodput" else loss(args)
    table = Table(title=f"{args.part}, {time.monotonic() - began:.0f} s")
    for name in found[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in found:
        table.add_row(*[str(value) for value in row.values()])
    Console(width=130).print(table)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
