"""The cluster file: what it gives, and what its refusals say."""

from pathlib import Path

import pytest

from coedge_ros.errors import UserError
from coedge_ros.spec.cluster import Link
from coedge_ros.spec.cluster_file import load_cluster, parse_cluster
from coedge_ros.spec.profile import Profile

CONFIG = Path(__file__).parents[2] / "config"
MINIMAL = """
hosts: [{name: a, cores: 2}, {name: b}]
workers:
  - {name: one, host: a, macs_per_s: 1e9, power_w: {idle: 1, compute: 5, transmit: 2}}
  - {name: two, host: b}
links:
  default: {alpha_s: 0.001, bytes_per_s: 12.5e6}
  pairs: [{from: a, to: b, alpha_s: 0.002, bytes_per_s: 1e6, both_ways: false}]
manager: {host: a}
"""


def test_defaults_fill_what_is_left_out():
    cluster = parse_cluster(MINIMAL)
    assert cluster.expected == ("one", "two")
    assert cluster.camera_host == "a"
    assert cluster.host("a").cores == 2 and cluster.host("b").cores == 0
    assert cluster.worker("two").speed_factor == 1.0


def test_links_may_differ_by_direction():
    cluster = parse_cluster(MINIMAL)
    assert cluster.link("a", "b") == Link(0.002, 1e6)
    assert cluster.link("b", "a") == cluster.default_link
    assert cluster.link("a", "a") == cluster.within_host


def test_numbers_with_an_exponent_need_no_sign():
    assert parse_cluster(MINIMAL).worker("one").macs_per_s == 1e9


def test_a_host_may_say_where_it_stands_and_in_which_frame():
    assert (parse_cluster(MINIMAL).host("a").position, parse_cluster(MINIMAL).host("a").frame) == (None, "")
    placed = parse_cluster(MINIMAL.replace("{name: b}", "{name: b, position: [1, -2.5], frame: robot_1/base_link}"))
    assert (placed.host("b").position, placed.host("b").frame) == ((1.0, -2.5, 0.0), "robot_1/base_link")
    assert parse_cluster(MINIMAL.replace("{name: b}", "{name: b, position: [1, 2, 3]}")).host("b").position == (1, 2, 3)


@pytest.mark.parametrize("path", [CONFIG / "cluster.yaml", *sorted((CONFIG / "testbeds").glob("*.yaml"))])
def test_every_file_of_ours_is_legal(path):
    assert load_cluster(path).workers


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("power_w: {idle", "power_w: {idel", r"workers\[0\].power_w: unknown key 'idel'; did you mean 'idle'\?"),
        ("macs_per_s: 1e9", "macs_per_sec: 1e9", "Legal are: .*macs_per_s"),
        ("name: two", "name: one", "worker 'one' is there twice"),
        ("idle: 1", "idle: -1", r"workers\[0\].power_w.idle must be at least 0, not -1"),
        ("host: b}", "host: c}", "worker 'two': host 'c' is not in the file; it has a, b"),
        ("manager: {host: a}", "manager: {host: x}", "manager: host 'x' is not in the file"),
        ("manager: {host: a}", "manager: {expected: [three]}", "worker 'three' is not in the file; it has one, two"),
        ("to: b", "to: z", "host 'z' is not in the file"),
        ("to: b", "to: a", "use within_host"),
        ("name: b}", "name: b, position: [1]}", r"hosts\[1\].position must be \[x, y\] or .*, not 1"),
        ("name: b}", "name: b, position: []}", r"hosts\[1\].position must be \[x, y\] or .*, not 0"),
        ("name: b}", "name: b, position: 1}", r"hosts\[1\].position must be a list of numbers, not 1"),
        ("name: b}", "name: b, position: [1, far]}", r"hosts\[1\].position\[1\] must be a number, not 'far'"),
        ("name: b}", "name: b, frame: 7}", r"hosts\[1\].frame must be a text, not 7"),
        ("name: b}", "name: b, frame: /base}", r"hosts\[1\].frame is '/base'; tf frames have no leading slash"),
        ("macs_per_s: 1e9", "macs_per_s: fast", "macs_per_s must be a number, not 'fast'"),
        ("macs_per_s: 1e9", "macs_per_s: .nan", "must be a number"),
        ("macs_per_s: 1e9", "speed_factor: 0", "speed_factor must be above 0"),
        ("macs_per_s: 1e9", "threads: 1.5", "threads must be a whole number"),
        ("cores: 2", "cores: 0", r"hosts\[0\].cores must be above 0"),
        ("bytes_per_s: 12.5e6}", "rate: 3}", "links.default.bytes_per_s is missing"),
        ("name: one, host: a", "name: one", r"workers\[0\].host is missing"),
        ("macs_per_s: 1e9", "duty_cap: 2", "duty_cap must be at most 1"),
        ("manager:", "manger:", "unknown key 'manger'; did you mean 'manager'"),
        (MINIMAL, "hosts: [", "is not YAML"),
        (MINIMAL, "", "must be a mapping"),
        (MINIMAL, "hosts: []\nworkers: []\nlinks: {default: {bytes_per_s: 1}}", "name at least one"),
        ("workers:", "workers: 3\nx:", "workers must be a list"),
    ],
)
def test_a_refusal_names_file_key_and_what_is_legal(old, new, message):
    assert old in MINIMAL
    with pytest.raises(UserError, match=message) as caught:
        parse_cluster(MINIMAL.replace(old, new), "c.yaml")
    assert str(caught.value).startswith("c.yaml")


def test_the_network_is_wired_unless_the_file_says_otherwise():
    assert parse_cluster(MINIMAL).network == "wired"
    assert parse_cluster(MINIMAL + "network: wireless\n").network == "wireless"
    with pytest.raises(UserError, match="network.*'lora', not one of wired, wireless"):
        parse_cluster(MINIMAL + "network: lora\n")


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match="nowhere.yaml cannot be read"):
        load_cluster("nowhere.yaml")


def test_measured_stage_times_are_read_and_checked():
    entry = "{model: m, input: [8, 8], stages: [{first: p, last: q, rows: [1, 4], seconds: [0.1, 0.3]}]}"
    text = MINIMAL.replace("name: two,", f"name: two, measured: [{entry}],")
    profile = Profile(parse_cluster(text), model="m")
    assert profile.times_of("two", 8, 8).stages[0].seconds == (0.1, 0.3)
    assert profile.times_of("two", 8, 9) is None
    with pytest.raises(UserError, match="one time per row count"):
        parse_cluster(text.replace("[0.1, 0.3]", "[0.1]"))
    with pytest.raises(UserError, match="rows must ascend"):
        parse_cluster(text.replace("[1, 4]", "[4, 1]"))


def test_a_measured_speed_comes_before_the_files_and_takes_the_factor():
    text = MINIMAL.replace("name: two,", "name: two, speed_factor: 0.5,")
    profile = Profile(parse_cluster(text), {"two": 4e9})
    assert profile.speed_macs_per_s("two") == 2e9
    assert profile.speed_macs_per_s("one") == 1e9
    with pytest.raises(UserError, match="speed of worker 'two' is not known"):
        Profile(parse_cluster(text)).speed_macs_per_s("two")


def test_workers_that_are_gone_leave_the_rest_in_order():
    cluster = parse_cluster(MINIMAL).only(["two"])
    assert cluster.worker_names == ("two",) and cluster.expected == ("two",)
