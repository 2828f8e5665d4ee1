"""Which processes a cluster has, from its file and the user's choices."""

import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from coedge_ros.errors import UserError
from coedge_ros.nodes.composition import (
    ClusterOptions,
    cluster_of,
    cluster_processes,
    dds_environment,
    local_environment,
    share_folder,
)
from coedge_ros.nodes.security_policy import cluster_access
from coedge_ros.spec.cluster_file import NETWORKS

FILE = """
hosts: [{name: box}, {name: robot}]
workers:
  - {name: front, host: robot, threads: 2, power_w: {idle: 1.0, compute: 5.0, transmit: 2.0}}
  - {name: rear, host: box}
links: {default: {alpha_s: 0.001, bytes_per_s: 1.0e+8}}
"""


@pytest.fixture
def cluster_file(tmp_path) -> str:
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE)
    return str(path)


def by_name(**options):
    return {spec.name: spec for spec in cluster_processes(ClusterOptions(**options))}


def test_a_cluster_has_its_workers_a_manager_a_visualizer_and_a_camera(cluster_file):
    found = by_name(cluster=cluster_file)
    assert {spec.executable for spec in found.values()} == {"worker", "partition_manager", "load_visualizer", "camera"}
    assert list(found) == ["front", "rear", "partition_manager", "load_visualizer", "camera"]
    assert {spec.namespace for spec in found.values()} == {"coedge"}


def test_workers_get_what_their_file_says_of_them(cluster_file):
    front = by_name(cluster=cluster_file)["front"].parameters
    assert front["worker_name"] == "front" and front["threads"] == 2
    assert (front["idle_w"], front["compute_w"], front["transmit_w"]) == (1.0, 5.0, 2.0)
    assert (front["host_name"], front["manager_host"]) == ("robot", "box")  # the file's first host has the manager


def test_manager_and_workers_get_the_same_model(cluster_file):
    found = by_name(cluster=cluster_file, model="resnet18", weights="w.safetensors", height=97, width=131)
    for name in ("front", "rear", "partition_manager"):
        values = found[name].parameters
        assert [values[k] for k in ("model", "weights", "height", "width")] == ["resnet18", "w.safetensors", 97, 131]


def test_manager_and_visualizer_read_the_same_cluster_file(cluster_file):
    found = by_name(cluster=cluster_file)
    assert {found[name].parameters["cluster"] for name in ("partition_manager", "load_visualizer")} == {cluster_file}


def test_without_a_source_there_is_no_camera(cluster_file):
    assert "camera" not in by_name(cluster=cluster_file, source="")


def test_all_readers_and_the_camera_follow_the_image_topic(cluster_file):
    found = by_name(cluster=cluster_file, image_topic="/robot/image_raw")
    remapped = {name for name, spec in found.items() if ("image", "/robot/image_raw") in spec.remappings}
    assert remapped == {"partition_manager", "load_visualizer", "camera"}


def test_compressed_images_are_sent_and_read_below_the_cameras_topic(cluster_file):
    found = by_name(cluster=cluster_file, image_topic="/robot/image_raw", image_transport="compressed")
    for reader in ("partition_manager", "load_visualizer"):
        assert found[reader].parameters["image_transport"] == "compressed"
        assert found[reader].remappings == (("image", "/robot/image_raw"),)
    assert found["camera"].parameters["compressed"] == "jpeg"
    same = by_name(cluster=cluster_file, image_topic="/robot/image_raw/compressed")  # as `ros2 topic list` shows it
    assert {n: (s.parameters, s.remappings) for n, s in same.items()} == {
        n: (s.parameters, s.remappings) for n, s in found.items()
    }


def test_several_cameras_are_named_to_their_readers_and_the_camera_node_has_the_first(cluster_file):
    found = by_name(cluster=cluster_file, image_topics=("front", "/rear/compressed"))
    for reader in ("partition_manager", "load_visualizer"):
        assert found[reader].parameters["image_topics"] == ["front", "/rear/compressed"]
        assert "image_transport" not in found[reader].parameters and found[reader].remappings == ()
    assert found["camera"].remappings == (("image", "front"),) and "compressed" not in found["camera"].parameters


def test_an_unknown_transport_and_a_camera_named_twice_are_refused_before_anything_starts(cluster_file):
    with pytest.raises(UserError, match="image_transport must be one of raw, compressed, not 'theora'"):
        by_name(cluster=cluster_file, image_transport="theora")
    with pytest.raises(UserError, match="names front twice"):
        by_name(cluster=cluster_file, image_topics=("front", "front"))


def test_one_host_gets_only_its_workers(cluster_file):
    found = by_name(cluster=cluster_file, host="robot", with_manager=False)
    assert list(found) == ["front"]


def test_a_host_without_workers_is_refused_with_the_hosts_that_there_are(cluster_file):
    with pytest.raises(UserError, match="no worker on host 'nowhere'; its hosts are box, robot"):
        by_name(cluster=cluster_file, host="nowhere")


@pytest.mark.parametrize("name", ["a b", "1st", "w-1", "manager", "x" * 65])
def test_a_worker_whose_name_can_be_no_nodes_is_refused_before_anything_starts(tmp_path, name):
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE.replace("front", f'"{name}"'))
    with pytest.raises(UserError, match="worker"):
        by_name(cluster=str(path))


def test_a_missing_file_is_the_users_mistake():
    with pytest.raises(UserError, match="/no/such/file"):
        by_name(cluster="/no/such/file")


def test_without_a_file_the_shipped_cluster_is_started():
    found = by_name()
    assert sum(spec.executable == "worker" for spec in found.values()) == 3


def test_every_parameter_is_one_that_its_node_declares(cluster_file):
    from coedge_ros.nodes import camera, load_visualizer, manager_parameters, worker_parameters

    declared = {
        "worker": worker_parameters, "partition_manager": manager_parameters, "camera": camera,
        "load_visualizer": load_visualizer,
    }  # fmt: skip
    several = {"image_topics": ("a", "b"), "image_transport": "compressed"}
    for spec in [*by_name(cluster=cluster_file).values(), *by_name(cluster=cluster_file, **several).values()]:
        assert set(spec.parameters) <= {p.name for p in declared[spec.executable].PARAMETERS}


def test_it_needs_no_rclpy_so_that_launch_files_may_import_it():
    import subprocess

    code = "import sys, coedge_ros.nodes.composition; sys.exit('rclpy' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code]).returncode == 0


def test_the_dds_profile_is_the_packages_own_unless_the_user_has_chosen_one(monkeypatch):
    for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_DISTRO"):
        monkeypatch.delenv(name, raising=False)
    (variable,) = dds_environment()
    assert variable == "FASTDDS_DEFAULT_PROFILES_FILE"
    assert Path(dds_environment()[variable]) == share_folder() / "config" / "fastdds_wired.xml"
    assert Path(dds_environment()[variable]).is_file()
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    assert list(dds_environment()) == ["FASTRTPS_DEFAULT_PROFILES_FILE"]
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/mine.xml")
    assert dds_environment() == {}


def test_a_cluster_for_this_machine_alone_keeps_to_it_unless_the_user_has_chosen(monkeypatch):
    discovery = "ROS_AUTOMATIC_DISCOVERY_RANGE"
    for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_DISTRO", discovery):
        monkeypatch.delenv(name, raising=False)
    found = local_environment()
    profile = share_folder() / "config" / "fastdds_local.xml"
    assert found == {discovery: "SYSTEM_DEFAULT", "FASTDDS_DEFAULT_PROFILES_FILE": str(profile)}
    addresses = ElementTree.parse(profile).getroot().iterfind(".//{*}interfaceWhiteList/{*}address")
    assert [address.text for address in addresses] == ["127.0.0.1"]
    monkeypatch.setenv(discovery, "SUBNET")
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "/mine.xml")
    assert local_environment() == {discovery: "SUBNET"}


@pytest.mark.parametrize("network", NETWORKS)
def test_workers_share_no_memory_with_others_and_have_the_same_profile_otherwise(network, monkeypatch, tmp_path):
    for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_DISTRO"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "cluster.yaml"
    path.write_text(f"{FILE}network: {network}\n")
    environments = {spec.name: spec.environment for spec in cluster_processes(ClusterOptions(cluster=str(path)))}
    worker = share_folder() / "config" / f"fastdds_{network}_worker.xml"
    assert environments["front"] == {"FASTDDS_DEFAULT_PROFILES_FILE": str(worker)} == environments["rear"]
    assert not environments["partition_manager"]
    root = ElementTree.parse(worker.with_name(f"fastdds_{network}.xml")).getroot()
    defined, used = root.find(".//{*}transport_descriptors"), root.find(".//{*}userTransports")
    defined.remove(next(child for child in defined if child.findtext("{*}transport_id") == "coedge_shm"))
    used.remove(next(child for child in used if child.text == "coedge_shm"))
    rest, own = (
        ElementTree.canonicalize(ElementTree.tostring(r), strip_text=True)
        for r in (root, ElementTree.parse(worker).getroot())
    )
    assert rest == own
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "/mine.xml")
    assert not any(spec.environment for spec in cluster_processes(ClusterOptions(cluster=str(path))))


@pytest.mark.parametrize("kind", ["", "_worker"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_that_a_cluster_file_may_name_has_a_profile(network, kind, monkeypatch):
    for name in [name for name in os.environ if name.endswith("_DEFAULT_PROFILES_FILE")]:
        monkeypatch.delenv(name)
    (path,) = dds_environment(f"{network}{kind}").values()
    profiles = ElementTree.parse(path).getroot()
    sizes = {
        transport.findtext("{*}type"): int(transport.findtext("{*}maxMessageSize"))
        for transport in profiles.iterfind(".//{*}transport_descriptor")
    }
    if kind:
        assert list(sizes) == ["UDPv4"]
    else:
        segment = int(profiles.findtext(".//{*}segment_size"))
        assert segment >= sizes["SHM"] >= 524288 + 1024, "a chunk must fit, or shared memory is silently off"
    assert (sizes["UDPv4"] <= 1472) == (network == "wireless")  # one packet of Ethernet or not
    assert profiles.findtext(".//{*}heartbeat_period/{*}nanosec") == "10000000"
    assert profiles.findtext(".//{*}leaseAnnouncement/{*}nanosec") == "500000000"


def test_each_process_gets_its_enclave_as_the_policy_names_it(cluster_file):
    found = by_name(cluster=cluster_file, enclave="team")
    access = cluster_access(cluster_of(cluster_file), "coedge", prefix="team")
    assert {spec.enclave for spec in found.values()} == {enclave.path for enclave in access}
    assert not any(spec.enclave for spec in by_name(cluster=cluster_file).values())
