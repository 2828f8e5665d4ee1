"""Which processes a cluster has: one tested function that `cluster.launch.py` and `coedge up` both call.

Pure Python without rclpy, so that launch files can import it before anything is started.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from coedge_ros.errors import UserError
from coedge_ros.nodes.camera_topics import TRANSPORTS, camera_topics, is_compressed, raw_topic
from coedge_ros.nodes.security_policy import enclave_path
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE, IMAGE, check_worker_name
from coedge_ros.spec.cluster import ClusterSpec, WorkerSpec
from coedge_ros.spec.cluster_file import load_cluster

PACKAGE = "coedge_ros"
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")  # of Kilted, and of Jazzy
MANAGED = ("partition_manager", "worker")  # executables of managed nodes


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process of the cluster: an executable of the package with its node's name, parameters and remappings.

    Attributes
    ----------
    enclave : str
        SROS2 enclave that it runs in, such as `/coedge/worker_1`; empty for ROS's own choice.
    environment : dict of str to str
        Variables that are its own.
    """

    executable: str
    name: str
    namespace: str
    parameters: dict[str, Any] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    enclave: str = ""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What a user chooses at start. Empty texts mean: as the package's parameter files and the cluster file say.

    Attributes
    ----------
    source : str
        What the camera node publishes; empty for no camera node (images come from the robot's own).
    image_topic : str
        Topic of the images, relative to the namespace or absolute.
    image_topics : tuple of str
        Topics of several cameras instead; the camera node, if any, publishes on the first.
    image_transport : str
        How images come, `raw` or `compressed`.
    host : str
        Start only the workers that the cluster file puts on this host; empty for all.
    enclave : str
        Prefix of the SROS2 enclaves, as of `coedge security --enclave`; empty for no enclaves.
    use_sim_time : bool
        Whether all nodes take the time of stamps from /clock.
    autostart : bool
        Whether manager and workers configure and activate themselves.
    """

    cluster: str = ""
    model: str = "mobilenet_v2"
    weights: str = "imagenet"
    height: int = 0
    width: int = 0
    source: str = "example"
    image_topic: str = "image"
    image_topics: tuple[str, ...] = ()
    image_transport: str = "raw"
    namespace: str = DEFAULT_NAMESPACE
    host: str = ""
    enclave: str = ""
    use_sim_time: bool = False
    autostart: bool = True
    manager: dict[str, Any] = field(default_factory=dict)
    camera: dict[str, Any] = field(default_factory=dict)
    visualizer: dict[str, Any] = field(default_factory=dict)
    worker: dict[str, Any] = field(default_factory=dict)
    with_manager: bool = True
    with_workers: bool = True
    with_visualizer: bool = True


def cluster_processes(options: ClusterOptions) -> list[ProcessSpec]:
    """Processes of a cluster on this machine, workers first.

    Raises
    ------
    UserError
        When the cluster file does not exist or does not fit, puts no worker on the host asked for, or has a worker
        whose name cannot be a node's.
    """
    cluster = cluster_of(options.cluster)
    model = {"model": options.model, "weights": options.weights, "height": options.height, "width": options.width}
    read, sent, own = _images(options)
    remapped = ((IMAGE, own),) if own != IMAGE else ()
    images = () if "image_topics" in read else remapped
    found = []
    if options.with_workers:
        found += [_worker(w, cluster, options, model) for w in _workers_on(cluster, options.host)]
    if options.with_manager:
        parameters = {**model, "cluster": options.cluster, **read, **options.manager}
        found.append(ProcessSpec("partition_manager", "partition_manager", options.namespace, parameters, images))
    if options.with_manager and options.with_visualizer:
        parameters = {"cluster": options.cluster, **read, **options.visualizer}
        found.append(ProcessSpec("load_visualizer", "load_visualizer", options.namespace, parameters, images))
    if options.with_manager and options.source:
        parameters = {"source": options.source, **sent, **options.camera}
        found.append(ProcessSpec("camera", "camera", options.namespace, parameters, remapped))
    return [_in_world(spec, options) for spec in found]


def _images(options: ClusterOptions) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Parameters of those who read images, parameters of the camera node, and the topic that it has for `image`."""
    if options.image_transport not in TRANSPORTS:
        raise UserError(f"image_transport must be one of {', '.join(TRANSPORTS)}, not {options.image_transport!r}")
    names = options.image_topics or (options.image_topic,)
    topics = camera_topics(names, options.image_transport)
    read: dict[str, Any] = {"image_topics": list(names)} if len(names) > 1 else {}
    if options.image_transport == "compressed" or (len(names) == 1 and is_compressed(topics[0])):
        read["image_transport"] = "compressed"
    return read, {"compressed": "jpeg"} if is_compressed(topics[0]) else {}, raw_topic(topics[0])


def _in_world(spec: ProcessSpec, options: ClusterOptions) -> ProcessSpec:
    """The process with what all processes get: its enclave, and the clock."""
    enclave = enclave_path(options.enclave, spec.name) if options.enclave else ""
    more = {"use_sim_time": True} if options.use_sim_time else {}
    if not options.autostart and spec.executable in MANAGED:
        more["autostart"] = False
    return replace(spec, enclave=enclave, parameters={**spec.parameters, **more})


def _worker(worker: WorkerSpec, cluster: ClusterSpec, options: ClusterOptions, model: dict[str, Any]) -> ProcessSpec:
    check_worker_name(worker.name)
    parameters = {
        **model,
        "worker_name": worker.name,
        "host_name": worker.host,
        "manager_host": cluster.manager_host,
        "threads": worker.threads,
        "device": worker.device,
        "idle_w": worker.power.idle_w,
        "compute_w": worker.power.compute_w,
        "transmit_w": worker.power.transmit_w,
        **options.worker,
    }
    variables = dds_environment(f"{cluster.network}_worker")
    return ProcessSpec("worker", worker.name, options.namespace, parameters, environment=variables)


def _workers_on(cluster: ClusterSpec, host: str) -> list[WorkerSpec]:
    workers = [w for w in cluster.workers if host in ("", w.host)]
    if not workers:
        hosts = ", ".join(h.name for h in cluster.hosts)
        raise UserError(f"{cluster.source} puts no worker on host {host!r}; its hosts are {hosts}")
    return workers


def cluster_of(path: str) -> ClusterSpec:
    """The cluster of a file; of the shipped one for an empty path."""
    return load_cluster(path or share_folder() / "config" / "cluster.yaml")


def share_folder() -> Path:
    """Folder `share/coedge_ros` of the installed package, in a ROS workspace or in a virtual environment."""
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p] + [sys.prefix]
    for prefix in prefixes:
        folder = Path(prefix) / "share" / PACKAGE
        if folder.is_dir():
            return folder
    return Path(__file__).resolve().parents[2]  # a checkout that is not installed


def dds_profile(name: str) -> Path:
    """File of one of the package's Fast DDS profiles."""
    return share_folder() / "config" / f"fastdds_{name}.xml"


def dds_environment(profile: str = "wired") -> dict[str, str]:
    """Environment variables that make Fast DDS use a profile of the package, unless the user has chosen one.

    Parameters
    ----------
    profile : str
        The cluster's network; followed by `_worker` for processes that need not share memory with a camera.
    """
    if any(name in os.environ for name in PROFILE_VARIABLES):
        return {}
    newer, older = PROFILE_VARIABLES
    return {newer if os.environ.get("ROS_DISTRO", "kilted") != "jazzy" else older: str(dds_profile(profile))}


def local_environment() -> dict[str, str]:
    """The same for a cluster that nobody on another machine finds, unless the user has chosen who does."""
    discovery = "ROS_AUTOMATIC_DISCOVERY_RANGE"
    return {discovery: os.environ.get(discovery, "SYSTEM_DEFAULT"), **dds_environment("local")}
