"""Checks of one host's environment variables, cluster file and versions. No ROS: each takes its inputs as arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from coedge_ros.errors import UserError
from coedge_ros.nodes.composition import PROFILE_VARIABLES
from coedge_ros.spec.cluster import ClusterSpec
from coedge_ros.spec.cluster_file import load_cluster
from coedge_ros.spec.finding import Finding, fail, ok, warn

HIGHEST_DOMAIN = 232  # 7400 + 250 x domain must be a port
RANGES = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")
TESTED_DISTROS = ("jazzy", "kilted")
TOO_OLD_DISTROS = ("foxy", "galactic", "humble")  # their rclpy has no callbacks after parameters were set
OLDEST_PYTHON = (3, 10)
OLDEST_TORCH, TESTED_TORCH = (2, 2), (2, 13)
MACHINES = {"x86_64": "tested", "aarch64": "expected to work with a ROS installation, not tested"}


def check_cluster_file(path: Path, host: str = "") -> tuple[Finding, ClusterSpec | None]:
    """Whether the cluster file says something legal, and names this host; also the cluster."""
    try:
        cluster = load_cluster(path)
    except UserError as error:
        return fail("cluster file", str(error), "correct the file at the place that is named"), None
    names = [h.name for h in cluster.hosts]
    if host and host not in names:
        return fail(
            "cluster file", f"{path} has no host {host!r}", f"use one of {', '.join(names)}, or add it to hosts"
        ), cluster
    return ok("cluster file", f"{path}: {len(names)} hosts, {len(cluster.workers)} workers"), cluster


def check_domain(environment: Mapping[str, str], local_ports: tuple[int, int] = (32768, 60999)) -> Finding:
    """ROS_DOMAIN_ID: whether it is a domain, and one whose ports the kernel gives to nobody else.

    Parameters
    ----------
    local_ports : (int, int)
        First and last port that the kernel hands out by itself.
    """
    name, text = "ROS_DOMAIN_ID", environment.get("ROS_DOMAIN_ID", "")
    if not text:
        return warn(
            name, "not set: domain 0, which everybody's ROS uses who did not set it either",
            "export the same ROS_DOMAIN_ID, for instance 42, for every host of the cluster and for nobody else",
        )  # fmt: skip
    if not (text.isascii() and text.isdigit()) or int(text) > HIGHEST_DOMAIN:
        return fail(name, f"{text!r} is no domain", "use a whole number from 0 to 101, the same on every host")
    first = 7400 + 250 * int(text) + 10
    if local_ports[0] <= first <= local_ports[1]:
        return warn(
            name, f"{text}: its ports (from {first}) are among those that the kernel gives to any program",
            "use 0 to 101 or 215 to 232",
        )  # fmt: skip
    return ok(name, f"{text}: only participants with the same number see each other")


def check_middleware(environment: Mapping[str, str]) -> Finding:
    """RMW_IMPLEMENTATION: Fast DDS is what profiles and measurements are for."""
    name, chosen = "RMW_IMPLEMENTATION", environment.get("RMW_IMPLEMENTATION", "")
    if chosen == "rmw_fastrtps_cpp":
        return ok(name, chosen)
    if not chosen:
        return ok(name, "not set: the distribution's own, rmw_fastrtps_cpp unless it was built otherwise")
    return warn(
        name, f"{chosen}: not tested, and the package's Fast DDS profile has no effect on it",
        "unset it, or export RMW_IMPLEMENTATION=rmw_fastrtps_cpp, the same on every host",
    )  # fmt: skip


def check_profile(
    environment: Mapping[str, str], config: Path, network: str = "wired", distro: str = ""
) -> tuple[Finding, Path]:
    """Variables that name a Fast DDS profile; also the file that will be in force.

    Parameters
    ----------
    config : path
        Folder with the package's own profiles.
    network : str
        What the cluster file asks for: wired or wireless.
    distro : str
        ROS distribution; Jazzy reads the older of the two variables only.
    """
    name, own = "Fast DDS profile", config / f"fastdds_{network}.xml"
    chosen = {v: environment[v] for v in PROFILE_VARIABLES if environment.get(v)}
    cure = f"unset {' and '.join(chosen)}: then the package's {own.name} is used"
    if not chosen:
        return ok(name, f"not chosen by the environment: {own.name} is used"), own
    if distro == "jazzy" and PROFILE_VARIABLES[1] not in chosen:
        return fail(
            name, f"{PROFILE_VARIABLES[0]} is set, which Jazzy does not read",
            f"export {PROFILE_VARIABLES[1]} instead, or unset it: then the package's {own.name} is used",
        ), own  # fmt: skip
    variable = PROFILE_VARIABLES[1] if distro == "jazzy" else next(iter(chosen))
    path = Path(chosen[variable])
    if len(set(chosen.values())) > 1:
        return warn(name, f"the two variables differ; {variable} counts: {path}", cure), path
    if not path.is_file():
        return fail(name, f"{variable}={path}: there is no such file", cure), own
    try:
        ElementTree.parse(path)
    except (ElementTree.ParseError, OSError, UnicodeDecodeError) as error:
        return fail(name, f"{path} cannot be read as XML: {error}", cure), own
    ours = [p for p in sorted(config.glob("fastdds_*.xml")) if p.read_bytes() == path.read_bytes()]
    if not ours:
        return warn(
            name, f"{path} is not one of the package's: large messages may be slow (the default shared-memory segment "
            "is 512 KiB) and a lost last message may wait for seconds", cure,
        ), path  # fmt: skip
    if ours[0].name not in (own.name, f"{own.stem}_worker.xml"):  # the second for a worker that is started by hand
        return warn(name, f"{ours[0].name}, but the cluster file says network: {network}", cure), path
    return ok(name, str(path)), path


def check_discovery(environment: Mapping[str, str], host_count: int) -> Finding:
    """ROS_AUTOMATIC_DISCOVERY_RANGE and ROS_LOCALHOST_ONLY, for a cluster of so many hosts."""
    name = "discovery range"
    chosen, only = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", ""), environment.get("ROS_LOCALHOST_ONLY", "")
    if chosen and chosen not in RANGES:
        return fail(name, f"ROS_AUTOMATIC_DISCOVERY_RANGE={chosen} is none of {', '.join(RANGES)}", "unset it")
    local = only == "1" or chosen == "LOCALHOST"
    if chosen == "OFF" and only != "1":
        return fail(
            name, "ROS_AUTOMATIC_DISCOVERY_RANGE=OFF: nobody is found",
            "unset it, or set SUBNET for several hosts and LOCALHOST for one",
        )  # fmt: skip
    if local and host_count > 1:
        variable = "ROS_LOCALHOST_ONLY=1" if only == "1" else "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST"
        if (peers := environment.get("ROS_STATIC_PEERS", "")) and only != "1":
            return warn(
                name, f"{variable}: of {host_count} hosts only ROS_STATIC_PEERS ({peers}) can be found",
                "name all hosts there, or unset both",
            )  # fmt: skip
        return fail(
            name, f"{variable}, but the cluster file has {host_count} hosts: they do not find each other",
            f"unset {variable.partition('=')[0]} on every host",
        )  # fmt: skip
    return ok(name, "this machine only" if local else f"{chosen or 'not set'}: hosts of the same subnet")


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.partition("+")[0].split(".")[:2]
    return tuple(int(p) if p.isdigit() else 0 for p in parts)


def check_versions(
    python: tuple[int, int], torch: str, distro: str, machine: str, has_rclpy: bool = True
) -> list[Finding]:
    """Python, torch, ROS distribution and architecture against what is supported.

    Parameters
    ----------
    torch, distro : str
        Empty where there is none, or it is not known.
    """
    found = []
    version = ".".join(map(str, python))
    if python < OLDEST_PYTHON:
        found.append(fail("Python", version, "use Python 3.10 or newer"))
    else:
        found.append(ok("Python", version))
    tested = ".".join(map(str, TESTED_TORCH))
    if not torch:
        found.append(fail("torch", "not installed for this Python", f"pip install torch=={tested}.0"))
    elif _numbers(torch) < OLDEST_TORCH:
        found.append(fail("torch", f"{torch} is too old for torch.export", f"pip install torch=={tested}.0"))
    elif _numbers(torch) != TESTED_TORCH:
        found.append(warn("torch", torch, f"tests run with {tested}; use the same torch on every host"))
    else:
        found.append(ok("torch", torch))
    if not has_rclpy:
        found.append(fail(
            "ROS", "rclpy is not there for this Python",
            "source the setup file of your ROS 2, or use the environment that scripts/setup.sh makes",
        ))  # fmt: skip
    elif distro in TOO_OLD_DISTROS:
        found.append(fail("ROS", f"{distro} is too old", f"use {' or '.join(TESTED_DISTROS)}"))
    elif distro not in TESTED_DISTROS:
        found.append(warn("ROS", distro or "distribution not known", f"tested with {' and '.join(TESTED_DISTROS)}"))
    else:
        found.append(ok("ROS", distro))
    if machine == "x86_64":
        found.append(ok("architecture", f"{machine}: {MACHINES[machine]}"))
    else:
        found.append(warn(
            "architecture", f"{machine}: {MACHINES.get(machine, 'not tested')}",
            "run `coedge verify --model NAME` here before you rely on it",
        ))  # fmt: skip
    return found
