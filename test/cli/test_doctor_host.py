"""Each of the doctor's checks of a host, by breaking the thing."""

import json
from pathlib import Path

import pytest

from coedge_ros.cli import doctor_host, doctor_system
from coedge_ros.cli.main import main
from coedge_ros.spec.finding import Level

CONFIG = Path(__file__).parents[2] / "config"
WIRED, WIRELESS = CONFIG / "fastdds_wired.xml", CONFIG / "fastdds_wireless.xml"
NEW, OLD = doctor_host.PROFILE_VARIABLES
MIB = 2**20


def levels(findings) -> dict[str, str]:
    return {finding.check: finding.level.value for finding in findings}


@pytest.mark.parametrize(
    ("value", "level"),
    [("", "warn"), ("0", "ok"), ("101", "ok"), ("102", "warn"), ("214", "warn"), ("215", "ok"), ("232", "ok"),
     ("233", "fail"), ("-1", "fail"), ("forty", "fail"), ("²", "fail")],
)  # fmt: skip
def test_a_domain_that_is_none_fails_and_one_with_the_kernels_ports_warns(value, level):
    assert doctor_host.check_domain({"ROS_DOMAIN_ID": value}).level == level


def test_the_kernels_port_range_is_the_hosts(tmp_path):
    folder = tmp_path / "sys/net/ipv4"
    folder.mkdir(parents=True)
    assert doctor_system.local_ports(tmp_path) == (32768, 60999)
    (folder / "ip_local_port_range").write_text("10000\t20000\n")
    assert doctor_system.local_ports(tmp_path) == (10000, 20000)
    assert doctor_host.check_domain({"ROS_DOMAIN_ID": "42"}, (10000, 20000)).level == "warn"


@pytest.mark.parametrize(("value", "level"), [("", "ok"), ("rmw_fastrtps_cpp", "ok"), ("rmw_cyclonedds_cpp", "warn")])
def test_another_middleware_warns(value, level):
    assert doctor_host.check_middleware({"RMW_IMPLEMENTATION": value}).level == level


def test_a_profile_is_checked_for_being_there_readable_ours_and_the_networks(tmp_path):
    def level(environment, network="wired", distro="kilted"):
        return doctor_host.check_profile(environment, CONFIG, network, distro)[0].level.value

    broken, foreign = tmp_path / "broken.xml", tmp_path / "foreign.xml"
    broken.write_text("<dds>")
    foreign.write_text("<dds/>")
    assert level({}) == "ok"
    assert level({NEW: str(WIRED)}) == "ok" and level({OLD: str(WIRED)}, distro="jazzy") == "ok"
    assert level({NEW: str(WIRED)}, network="wireless") == "warn"
    worker = str(CONFIG / "fastdds_wired_worker.xml")
    assert level({NEW: worker}) == "ok" and level({NEW: worker}, network="wireless") == "warn"
    assert level({NEW: str(WIRED), OLD: str(WIRELESS)}) == "warn"
    assert level({NEW: str(foreign)}) == "warn"
    assert level({NEW: str(broken)}) == "fail"
    assert level({NEW: str(tmp_path / "none.xml")}) == "fail"
    assert level({NEW: str(WIRED)}, distro="jazzy") == "fail"


@pytest.mark.parametrize(
    ("environment", "hosts", "level"),
    [
        ({}, 2, "ok"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, 1, "ok"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, 2, "fail"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": "10.0.0.2"}, 2, "warn"),
        ({"ROS_LOCALHOST_ONLY": "1"}, 1, "ok"),
        ({"ROS_LOCALHOST_ONLY": "1"}, 2, "fail"),
        ({"ROS_LOCALHOST_ONLY": "0"}, 2, "ok"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, 1, "fail"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "everywhere"}, 1, "fail"),
    ],
)
def test_a_discovery_range_that_ends_before_the_cluster_fails(environment, hosts, level):
    assert doctor_host.check_discovery(environment, hosts).level == level


def test_versions_that_are_not_supported_fail_and_untested_ones_warn():
    def of(python=(3, 11), torch="2.13.0+cpu", distro="kilted", machine="x86_64", has_rclpy=True):
        return levels(doctor_host.check_versions(python, torch, distro, machine, has_rclpy))

    assert set(of().values()) == {"ok"}
    assert of(python=(3, 9))["Python"] == "fail"
    assert of(torch="")["torch"] == "fail" and of(torch="2.1.2")["torch"] == "fail"
    assert of(torch="2.7.1")["torch"] == "warn"
    assert of(distro="humble")["ROS"] == "fail" and of(distro="rolling")["ROS"] == "warn"
    assert of(has_rclpy=False)["ROS"] == "fail"
    assert of(machine="aarch64")["architecture"] == "warn"


def test_a_cluster_file_that_is_wrong_or_does_not_know_the_host_fails(tmp_path):
    good = CONFIG / "cluster.yaml"
    assert doctor_host.check_cluster_file(good)[0].level == "ok"
    finding, _ = doctor_host.check_cluster_file(good, "elsewhere")
    assert finding.level == "fail" and "use one of here" in finding.cure
    bad = tmp_path / "cluster.yaml"
    bad.write_text(good.read_text().replace("threads: 1", "treads: 1", 1))
    finding, cluster = doctor_host.check_cluster_file(bad)
    assert finding.level == "fail" and "treads" in finding.found and cluster is None


def test_socket_buffers_below_what_the_profile_asks_for_warn_with_the_line_that_cures(tmp_path):
    core = tmp_path / "sys/net/core"
    core.mkdir(parents=True)
    (core / "rmem_max").write_text("212992\n")
    (core / "wmem_max").write_text("8388608\n")
    receive, send = doctor_system.check_socket_buffers(tmp_path, WIRED)
    assert receive.level == "warn" and "sysctl -w net.core.rmem_max=8388608" in receive.cure
    assert send.level == "ok"
    (core / "rmem_max").unlink()
    receive, _ = doctor_system.check_socket_buffers(tmp_path, WIRED)
    assert receive.level == "warn" and "container" in receive.found


@pytest.mark.parametrize(
    ("size", "level"),
    [(None, "fail"), ((64 * MIB, 64 * MIB), "fail"), ((500 * MIB, 10 * MIB), "warn"), ((500 * MIB, 400 * MIB), "ok")],
)
def test_shared_memory_must_hold_the_segments_of_all_processes(size, level):
    assert doctor_system.check_shared_memory(size, 6, WIRED).level == level


def test_stale_segments_warn(tmp_path):
    left = tmp_path / "fastdds_0123456789abcdef"
    left.write_bytes(b"x" * MIB)
    finding = doctor_system.check_stale([left, tmp_path / "gone"])
    assert finding.level == "warn" and "1.0 MiB" in finding.found and "--remove-stale" in finding.cure
    assert doctor_system.check_stale([]).level == "ok"


def interface(root: Path, name="eth0", radio=False, **files) -> None:
    folder = root / "class/net" / name
    folder.mkdir(parents=True)
    for file, text in {"operstate": "up", "mtu": 1500, "speed": 1000, "duplex": "full", **files}.items():
        (folder / file).write_text(f"{text}\n")
    if radio:
        (folder / "wireless").mkdir()


@pytest.mark.parametrize(
    ("files", "network", "word"),
    [
        ({}, "wired", ""),
        ({"speed": -1}, "wired", ""),
        ({"speed": 10}, "wired", "cluster file says 100"),
        ({"duplex": "half"}, "wired", "half duplex"),
        ({"mtu": 1400}, "wired", "small packets"),
        ({"mtu": 1280}, "wireless", "two packets"),
        ({"radio": True}, "wired", "network: wired"),
        ({"radio": True}, "wireless", ""),
    ],
)
def test_an_interface_that_does_not_suit_the_cluster_warns(tmp_path, files, network, word):
    interface(tmp_path, **files)
    interface(tmp_path, "lo", mtu=1)
    interface(tmp_path, "eth1", operstate="down", mtu=1)
    (finding,) = doctor_system.check_interfaces(tmp_path, 2, network, 12.5e6)
    assert (finding.level is Level.WARN) == bool(word)
    assert word in finding.found


def test_several_hosts_without_an_interface_fail_and_one_host_needs_none(tmp_path):
    interface(tmp_path, operstate="down")
    assert doctor_system.check_interfaces(tmp_path, 2, "wired", 0.0)[0].level == "fail"
    assert doctor_system.check_interfaces(tmp_path, 1, "wired", 0.0)[0].level == "ok"


def test_the_command_prints_json_alone_and_its_exit_code_says_whether_something_failed(capsys, monkeypatch):
    for variable in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY", "RMW_IMPLEMENTATION", NEW, OLD):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    code = main(["doctor", "--json", "-"])
    report = json.loads(capsys.readouterr().out)
    assert code == int(report["failed"])
    assert {f["check"]: f["level"] for f in report["findings"]}["ROS_DOMAIN_ID"] == "ok"
    monkeypatch.setenv("ROS_DOMAIN_ID", "7000")
    assert main(["doctor"]) == 1
    assert "fail" in capsys.readouterr().out
