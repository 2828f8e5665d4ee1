"""Hosts that are network namespaces of this machine, one link each to a switch: shaped, or losing packets."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
BURST = "32kbit"


def why_no_namespaces(*tools: str) -> str:
    """Why this process cannot make hosts with `ip` and more tools; "" when it can."""
    if os.geteuid() != 0:
        return "needs root: hosts are network namespaces"
    missing = [tool for tool in ("ip", *tools) if not shutil.which(tool)]
    return f"needs {', '.join(missing)} (Debian: iproute2, nftables)" if missing else ""


def _run(*command: str, check: bool = True, text: str | None = None) -> None:
    subprocess.run(command, check=check, capture_output=True, text=True, input=text)


class Hosts:
    """Hosts by name: use it as a context manager, in which this process is on the first of them.

    Sockets that this thread opens meanwhile, and processes that it starts, are on the first host; a command that
    `on` returns runs on another one.
    """

    def __init__(self, names: tuple[str, ...]):
        self.names = names
        self._prefix = f"coedge{os.getpid()}"
        self._switch = f"{self._prefix}_switch"

    def __enter__(self) -> Hosts:
        try:
            _run("ip", "netns", "add", self._switch)
            _run("ip", "-n", self._switch, "link", "add", "name", "hub", "type", "bridge", "mcast_snooping", "0")
            _run("ip", "-n", self._switch, "link", "set", "hub", "up")
            for index, name in enumerate(self.names):
                self._add(index, self._space(name))
            self._before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            self._enter(Path("/run/netns") / self._space(self.names[0]))
        except BaseException:
            self._remove()
            raise
        return self

    def _space(self, name: str) -> str:
        return f"{self._prefix}_{name}"

    def _add(self, index: int, space: str) -> None:
        _run("ip", "netns", "add", space)
        _run("ip", "link", "add", "name", "uplink", "netns", space,
             "type", "veth", "peer", "name", f"p{index}", "netns", self._switch)  # fmt: skip
        _run("ip", "-n", self._switch, "link", "set", f"p{index}", "master", "hub", "up")
        _run("ip", "-n", space, "addr", "add", f"10.78.0.{index + 1}/24", "dev", "uplink")
        for device in ("lo", "uplink"):
            _run("ip", "-n", space, "link", "set", device, "up")
        _run("ip", "-n", space, "route", "add", "224.0.0.0/4", "dev", "uplink")

    @staticmethod
    def _enter(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _set_namespace(descriptor)
        finally:
            os.close(descriptor)

    def on(self, name: str, command: list[str]) -> list[str]:
        """A command that runs on a host."""
        return ["ip", "netns", "exec", self._space(name), *command]

    def limit(self, name: str, mbit_per_s: float) -> None:
        """Shape a host's link in both directions."""
        index = self.names.index(name)
        for space, device in ((self._space(name), "uplink"), (self._switch, f"p{index}")):
            _run("tc", "-n", space, "qdisc", "replace", "dev", device, "root", "tbf", "rate", f"{mbit_per_s}mbit",
                 "burst", BURST, "latency", "400ms")  # fmt: skip

    def lose(self, percent: int) -> None:
        """All hosts lose packets that come in, at random."""
        rules = (
            "add table netdev loss\n"
            "add chain netdev loss in { type filter hook ingress device uplink priority 0; }\n"
            f"add rule netdev loss in numgen random mod 100 < {percent} drop\n"
        )
        for name in self.names:
            _run(*self.on(name, ["nft", "-f", "-"]), text=rules)

    def _remove(self) -> None:
        for space in (*map(self._space, self.names), self._switch):
            _run("ip", "netns", "del", space, check=False)

    def __exit__(self, *exception) -> None:
        try:
            _set_namespace(self._before)
            os.close(self._before)
        finally:
            self._remove()


def _set_namespace(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """An environment variable of this process and its children, for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def subnet_discovery() -> AbstractContextManager[None]:
    """Nodes find each other beyond their own host."""
    return variable("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
