"""The SROS2 policy allows what the nodes of a cluster use, and nothing else."""

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from coedge_ros.cli.main import main
from coedge_ros.nodes.composition import ClusterOptions, cluster_of, cluster_processes
from coedge_ros.nodes.security import unsecured
from coedge_ros.nodes.security_policy import absolute, cluster_access, policy_xml

SHIPPED = Path(__file__).parents[2] / "config" / "sros2" / "policies.xml"
FILE = """
hosts: [{name: box}, {name: robot}]
workers: [{name: front, host: robot}, {name: rear, host: box}]
links: {default: {alpha_s: 0.001, bytes_per_s: 1.0e+8}}
"""
KINDS = ("publish", "subscribe", "reply", "request")


def allowed(enclaves) -> dict[str, dict[str, set[str]]]:
    """Absolute names by node and kind."""
    return {
        access.node: {
            kind: {absolute(name, enclave.namespace, access.node) for name in getattr(access, kind)} for kind in KINDS
        }
        for enclave in enclaves
        for access in enclave.nodes
    }


def in_file(text: str) -> dict[str, dict[str, set[str]]]:
    """The same, read from a policy."""
    found = {}
    for profile in ElementTree.fromstring(text).iter("profile"):
        names = found[profile.get("node")] = {kind: set() for kind in KINDS}
        for rule in profile:
            (action,) = rule.attrib
            names[action] |= {absolute(e.text, profile.get("ns"), profile.get("node")) for e in rule}
    return found


def used_by(observer: Node, node: str, namespace: str) -> dict[str, set[str]]:
    ask = (
        observer.get_publisher_names_and_types_by_node,
        observer.get_subscriber_names_and_types_by_node,
        observer.get_service_names_and_types_by_node,
        observer.get_client_names_and_types_by_node,
    )
    return {kind: {name for name, _ in call(node, namespace)} for kind, call in zip(KINDS, ask, strict=True)}


SEVERAL = {"image_topics": ("/front/image_raw", "rear"), "image_transport": "compressed"}


# Each in a namespace of its own: where a node of the same name is still being let go, the next one has no /rosout.
@pytest.fixture(params=[("team", {}), ("crew", SEVERAL)], ids=["one camera", "several compressed"])
def running(request, ros, tmp_path):
    """All nodes of a cluster on two hosts, each in a context of its own; returns what one pass of them is."""
    from coedge_ros.nodes.camera import Camera
    from coedge_ros.nodes.load_visualizer import LoadVisualizer
    from coedge_ros.nodes.partition_manager import PartitionManager
    from coedge_ros.nodes.worker import Worker

    kinds = {
        "worker": Worker, "partition_manager": PartitionManager, "load_visualizer": LoadVisualizer, "camera": Camera
    }  # fmt: skip
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE)
    namespace, images = request.param
    options = ClusterOptions(
        cluster=str(path), model="espcn", weights="", height=24, width=24, namespace=namespace, **images
    )
    made = []
    for spec in cluster_processes(options):
        values = {k: v for k, v in spec.parameters.items() if v != "" and not isinstance(v, tuple)}
        parameters = [part for k, v in values.items() for part in ("-p", f"{k}:={_yaml(v)}")]
        context = rclpy.Context()
        remapped = [part for old, new in spec.remappings for part in ("-r", f"{old}:={new}")]
        names = ["-r", f"__node:={spec.name}", "-r", f"__ns:=/{spec.namespace}"]
        arguments = ["--ros-args", *names, *remapped, *parameters]
        rclpy.init(args=arguments, context=context, domain_id=ros.domain_id)
        executor = SingleThreadedExecutor(context=context)
        node = kinds[spec.executable](context=context)
        executor.add_node(node)
        made.append((node, executor, context))

    def turn() -> None:
        for node, executor, _ in made:
            executor.spin_once(timeout_sec=0)
            owner = getattr(node, "server", node)  # the manager's data side has the commands, a worker has its own
            if hasattr(owner, "commands"):
                owner.commands.run()
            if hasattr(owner, "cameras") and not owner.cameras.is_open:
                owner.let_in(True)
                owner._open_camera()  # otherwise with the first plan
                for worker in cluster_of(str(path)).worker_names:
                    node.change.client(worker)  # otherwise with the first change of the model

    cameras = images.get("image_topics", "image")
    transport = images.get("image_transport", "raw")
    yield cluster_access(cluster_of(str(path)), namespace, cameras, image_transport=transport), turn
    for node, executor, context in made:
        executor.shutdown()
        node.close()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _yaml(value) -> str:
    return str(value).lower() if isinstance(value, (bool, list)) else str(value)


@pytest.mark.timeout(120)
def test_the_policy_is_what_the_real_nodes_use(ros, running):
    enclaves, turn = running
    policy = allowed(enclaves)
    if importlib.util.find_spec("vision_msgs") is None:  # the policy is for hosts that have it too
        optional = {
            name for name in policy["manager_data"]["publish"] if name.endswith(("/classification", "/detections"))
        }
        assert len(optional) == 2
        policy["manager_data"]["publish"] -= optional
    observer = ros.node(Node, "observer")
    seen = {}

    def settled() -> bool:
        turn()
        present = dict(observer.get_node_names_and_namespaces())
        if not set(policy) <= set(present):
            return False
        seen.update({node: used_by(observer, node, enclaves[0].namespace) for node in policy})
        return seen == policy

    try:
        ros.spin_until(settled, 60.0)
    except AssertionError:
        assert seen == policy  # pytest shows what differs


def test_the_shipped_policy_is_that_of_the_shipped_cluster():
    path = SHIPPED.parents[1] / "cluster.yaml"
    text = policy_xml(cluster_access(cluster_of(str(path))))
    assert SHIPPED.read_text() == text, "run: coedge security --output config/sros2/policies.xml"
    assert in_file(text) == allowed(cluster_access(cluster_of(str(path))))


def test_only_the_manager_publishes_plans_and_results():
    policy = in_file(SHIPPED.read_text())
    for topic, writer in (("partition_plan", "partition_manager"), ("result", "manager_data")):
        assert [n for n, may in policy.items() if f"/coedge/{topic}" in may["publish"]] == [writer]


def test_each_participant_reads_its_own_fragments_only_and_cameras_and_visualizers_none():
    policy = in_file(SHIPPED.read_text())
    readers = {
        node: {name for name in may["subscribe"] if "/fragments/" in name}
        for node, may in policy.items()
        if any("/fragments/" in name for name in may["publish"] | may["subscribe"])
    }
    assert readers == {f"{n}_data": {f"/coedge/fragments/{n}"} for n in ("worker_1", "worker_2", "worker_3", "manager")}
    for node in readers:
        assert f"/coedge/fragments/{node.removesuffix('_data')}" not in policy[node]["publish"]


def test_more_topics_to_read_and_another_prefix_are_as_asked_for():
    cluster = cluster_of(str(SHIPPED.parents[1] / "cluster.yaml"))
    enclaves = cluster_access(cluster, "a/b", "/cam/image_raw", "secure", ["/clock"])
    assert enclaves[0].path == "/secure/worker_1" and enclaves[0].namespace == "/a/b"
    policy = allowed(enclaves)
    assert {n for n, may in policy.items() if "/cam/image_raw" in may["subscribe"]} == {
        "manager_data", "load_visualizer"
    }  # fmt: skip
    assert "/cam/image_raw" in policy["camera"]["publish"]
    assert all(("/clock" in may["subscribe"]) != node.endswith("_data") for node, may in policy.items())


def test_compressed_and_several_cameras_are_read_on_their_own_topics_and_no_others():
    cluster = cluster_of(str(SHIPPED.parents[1] / "cluster.yaml"))
    policy = allowed(cluster_access(cluster, image_topic=["/front/image_raw", "rear"], image_transport="compressed"))
    read = {"/front/image_raw/compressed", "/coedge/rear/compressed"}
    for node in ("manager_data", "load_visualizer"):
        assert {name for name in policy[node]["subscribe"] if "front" in name or "rear" in name} == read
    assert {name for name in policy["camera"]["publish"] if "front" in name or "rear" in name} == {
        "/front/image_raw", "/front/image_raw/compressed"
    }  # fmt: skip


# sros2's policy.xsd 0.2.0 in short: element: (attributes that must be there, that may be, elements inside).
SCHEMA = {
    "policy": ({"version"}, set(), {"enclaves"}),
    "enclaves": (set(), set(), {"enclave"}),
    "enclave": ({"path"}, set(), {"profiles"}),
    "profiles": (set(), {"type"}, {"profile"}),
    "profile": ({"ns", "node"}, set(), {"topics", "services", "actions"}),
    "topics": (set(), {"publish", "subscribe"}, {"topic"}),
    "services": (set(), {"reply", "request"}, {"service"}),
    "topic": (set(), set(), set()),
    "service": (set(), set(), set()),
}


def test_the_policy_keeps_to_the_schema_of_sros2():
    root = ElementTree.fromstring(SHIPPED.read_text())
    assert root.tag == "policy" and root.get("version") == "0.2.0"
    for element in root.iter():
        must, may, inside = SCHEMA[element.tag]
        assert must <= set(element.attrib) <= must | may, element.tag
        assert {child.tag for child in element} <= inside and bool(len(element)) == bool(inside), element.tag
        if may and element.tag != "profiles":
            assert set(element.attrib.values()) == {"ALLOW"}
        if not inside:
            assert re.fullmatch(r"(~/|/)?[a-z0-9_]+(/[a-z0-9_]+)*", element.text), element.text


@pytest.mark.parametrize("with_keystore", [False, True])
def test_security_that_cannot_be_had_is_refused_in_one_line(ros, monkeypatch, tmp_path, with_keystore):
    (tmp_path / "enclaves").mkdir()
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    monkeypatch.setenv("ROS_SECURITY_STRATEGY", "Enforce")
    monkeypatch.delenv("ROS_SECURITY_KEYSTORE", raising=False)
    if with_keystore:
        monkeypatch.setenv("ROS_SECURITY_KEYSTORE", str(tmp_path))
    process = ros.start("coedge_ros.nodes.camera", "-p", "source:=example")
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and "Traceback" not in text, text
    (line,) = [line for line in text.splitlines() if line.startswith("error:")]
    assert "ROS_SECURITY_ENABLE" in line and "docs/security.md" in line


def test_the_doctor_refuses_it_in_one_line_too(monkeypatch, capsys):
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    monkeypatch.setenv("ROS_SECURITY_STRATEGY", "Enforce")
    monkeypatch.delenv("ROS_SECURITY_KEYSTORE", raising=False)
    assert main(["doctor", "--live", "--listen", "0.1"]) == 2
    assert "ROS_SECURITY_KEYSTORE is not set" in capsys.readouterr().err


def test_security_that_is_left_out_without_a_word_is_warned_of(ros, monkeypatch, tmp_path):
    """Permissive, and no keystore: ROS runs the node without security and says nothing."""
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    monkeypatch.setenv("ROS_SECURITY_STRATEGY", "Permissive")
    monkeypatch.delenv("ROS_SECURITY_KEYSTORE", raising=False)
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.zeros((8, 8, 3), np.uint8))
    process = ros.start("coedge_ros.nodes.camera", "-p", f"source:={picture}")
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    (line,) = [line for line in text.splitlines() if "WITHOUT security" in line]
    assert "WARN" in line and "ROS_SECURITY_KEYSTORE is not set" in line and "Enforce" in line


def test_why_a_process_is_unsecured(tmp_path):
    (tmp_path / "enclaves" / "team" / "worker_1").mkdir(parents=True)
    asked = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_KEYSTORE": str(tmp_path)}
    mine, other = ["--ros-args", "--enclave", "/team/worker_1"], ["--ros-args", "-e", "/team/worker_2"]
    assert unsecured({}, mine) == "" and unsecured(asked, mine) == ""
    assert unsecured({**asked, "ROS_SECURITY_ENCLAVE_OVERRIDE": "/team/worker_1"}, other) == ""
    assert "enclaves/team/worker_2 (enclave /team/worker_2)" in unsecured(asked, other)
    assert "not set" in unsecured({"ROS_SECURITY_ENABLE": "true"}, mine)
    assert unsecured({**asked, "ROS_SECURITY_STRATEGY": "Enforce"}, other) == ""  # ROS refuses it
