"""Checks of what the kernel says: socket buffers, shared memory, interfaces. Roots are arguments, for tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from coedge_ros.profiling.sysfs import read_number, read_text
from coedge_ros.spec.finding import Finding, fail, ok, warn

MIB = 2**20
SLOW_MBIT_PER_S = 100
IP_AND_UDP_BYTES = 28
PORT_BYTES = MIB  # per process, for the ports beside its segment
_BUFFERS = (("rmem_max", "receiveBufferSize"), ("wmem_max", "sendBufferSize"))


def profile_number(profile: Path, tag: str, kind: str) -> int:
    """A number that a Fast DDS profile asks for in its transport of a kind (SHM, UDPv4); 0 for none."""
    try:
        root = ElementTree.parse(profile).getroot()
    except (ElementTree.ParseError, OSError, UnicodeDecodeError):
        return 0
    name = "{http://www.eprosima.com}"
    for transport in root.iter(f"{name}transport_descriptor"):
        if transport.findtext(f"{name}type", "").strip() == kind:
            text = transport.findtext(f"{name}{tag}", "").strip()
            return int(text) if text.isdigit() else 0
    return 0


def local_ports(proc: Path) -> tuple[int, int]:
    """First and last port that the kernel hands out by itself."""
    parts = read_text(proc / "sys/net/ipv4/ip_local_port_range").split()
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(p.isdigit() for p in parts) else (32768, 60999)


def check_socket_buffers(proc: Path, profile: Path) -> list[Finding]:
    """Largest socket buffers that the kernel allows, against what the Fast DDS profile asks for."""
    found = []
    for limit, tag in _BUFFERS:
        name, wanted = f"net.core.{limit}", profile_number(profile, tag, "UDPv4")
        allowed = read_number(proc / "sys/net/core" / limit)
        cure = f"sudo sysctl -w {name}={wanted}; to keep it, write the line to /etc/sysctl.d/60-coedge.conf"
        if not wanted:
            found.append(ok(name, f"{profile.name} asks for nothing"))
        elif math.isnan(allowed):
            found.append(warn(name, "cannot be read here, as in a container", f"on the host: {cure}"))
        elif allowed < wanted:
            found.append(warn(
                name, f"{allowed / MIB:.2f} MiB, {profile.name} asks for {wanted / MIB:.2f} MiB: bursts between hosts "
                "are lost and sent again", cure,
            ))  # fmt: skip
        else:
            found.append(ok(name, f"{allowed / MIB:.2f} MiB"))
    return found


def check_shared_memory(size: tuple[int, int] | None, processes: int, profile: Path) -> Finding:
    """/dev/shm against what this host's processes need.

    Parameters
    ----------
    size : (int, int) or None
        Bytes in all and bytes free; None where there is no such folder.
    processes : int
        Of the cluster on this host.
    """
    name, segment = "/dev/shm", profile_number(profile, "segment_size", "SHM")
    if size is None:
        return fail(name, "is not there: processes of one host cannot use shared memory", "mount a tmpfs on /dev/shm")
    total, free = size
    needed = processes * (segment + PORT_BYTES)
    text = f"{total / MIB:.0f} MiB, {free / MIB:.0f} free; {processes} processes need {needed / MIB:.0f}"
    larger = f"sudo mount -o remount,size={max(1, math.ceil(2 * needed / MIB))}M /dev/shm; in Docker: --shm-size"
    if total < needed:
        return fail(name, text, larger)
    if free < needed:
        return warn(name, f"{text}, unless they run already", f"end what fills it, or {larger}")
    return ok(name, text)


def check_stale(paths: Sequence[Path]) -> Finding:
    """Shared-memory files whose owner is gone, as `stale_segments` finds them."""
    name, size = "stale shared memory", 0
    for path in paths:
        try:
            size += path.stat().st_size
        except OSError:  # gone meanwhile
            continue
    if not paths:
        return ok(name, "none")
    return warn(
        name, f"{len(paths)} files of killed processes, {size / MIB:.1f} MiB, such as {paths[0].name}",
        "coedge doctor --remove-stale",
    )  # fmt: skip


def check_interfaces(sys_root: Path, host_count: int, network: str, promised_bytes_per_s: float) -> list[Finding]:
    """MTU and speed of the interfaces that are up.

    Parameters
    ----------
    network : str
        What the cluster file says: wired or wireless.
    promised_bytes_per_s : float
        What the cluster file says that links between hosts carry.
    """
    found = []
    for folder in sorted((sys_root / "class/net").glob("*")):
        if folder.name == "lo" or read_text(folder / "operstate") != "up":
            continue
        found.append(_interface(folder, host_count > 1, network, promised_bytes_per_s))
    if not found and host_count > 1:
        cure = "connect it: `ip link` shows the interfaces, `ip link set NAME up` starts one"
        return [fail("interfaces", f"none is up, but the cluster file has {host_count} hosts", cure)]
    return found or [ok("interfaces", "none is up; one host needs none")]


def _interface(folder: Path, several: bool, network: str, promised: float) -> Finding:
    name, mtu, speed = f"interface {folder.name}", read_number(folder / "mtu"), read_number(folder / "speed")
    is_radio = (folder / "wireless").is_dir()
    known = math.isfinite(speed) and speed > 0
    rate = f"{speed:.0f} Mbit/s" if known else ("radio, speed not told" if is_radio else "speed not told")
    text = f"MTU {mtu:.0f}, {rate}"
    if not several:
        return ok(name, text)
    if network == "wireless" and mtu < 1400 + IP_AND_UDP_BYTES:
        cure = f"sudo ip link set {folder.name} mtu 1500, on every host and switch between"
        return warn(name, f"{text}: datagrams of 1400 bytes travel in two packets", cure)
    if network == "wired" and mtu < 1500:
        cure = f"sudo ip link set {folder.name} mtu 1500, on every host and switch between, unless a tunnel needs less"
        return warn(name, f"{text}: small packets", cure)
    if is_radio and network == "wired":
        cure = "if hosts meet over it, say network: wireless in the cluster file"
        return warn(name, f"{text}, but the cluster file says network: wired", cure)
    if read_text(folder / "duplex") == "half":
        return warn(name, f"{text}, half duplex", "check cable and switch: both ends must negotiate")
    if known and speed * 125e3 < promised:
        cure = "check cable and switch, or write the true bytes_per_s into the cluster file's links"
        return warn(name, f"{text}; the cluster file says {promised / 125e3:.0f} Mbit/s", cure)
    if known and speed < SLOW_MBIT_PER_S:
        return warn(name, f"{text}: slow", "check cable and switch; at this speed splitting a frame seldom pays")
    return ok(name, text)
