"""`coedge profile`: measures really, writes a cluster file that can be read, and keeps what it did not measure."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from coedge_ros.cli.main import main
from coedge_ros.cli.profile import with_measurements
from coedge_ros.nodes.link_probe import LinkFigures
from coedge_ros.spec.cluster import Link, MeasuredTimes, StageTimes
from coedge_ros.spec.cluster_file import load_cluster

pytestmark = pytest.mark.timeout(120)
CLUSTER = {
    "hosts": [{"name": "here"}, {"name": "there"}],
    "workers": [{"name": "a", "host": "here"}, {"name": "b", "host": "here"}, {"name": "c", "host": "there"}],
    "links": {"default": {"alpha_s": 0.002, "bytes_per_s": 1e6}},
}


@pytest.fixture
def cluster(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(CLUSTER))
    return path


def times(model="m", height=64, seconds=0.1):
    return MeasuredTimes(model, height, 64, (StageTimes("x", "y", (1, 64), (seconds / 2, seconds)),))


def test_this_hosts_workers_and_the_link_are_measured_into_a_file_that_can_be_read(cluster, tmp_path):
    out = tmp_path / "measured.yaml"
    options = ["profile", "--model", "mobilenet_v2", "--input", "64x64", "--cluster", str(cluster), "--host", "here"]
    options += ["--budget", "0.02", "--output", str(out), "--json"]
    code = f"import sys; from coedge_ros.cli.main import main; sys.exit(main({options!r}))"
    command = [sys.executable, "-c", f"if __name__ == '__main__':\n    {code}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=os.environ)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["workers"]) == {"a", "b"} and 1.0 <= found["slowdown"] <= 2.0
    assert 1e-6 <= found["within_host"]["alpha_s"] < 0.1 and found["within_host"]["bytes_per_s"] > 1e6
    assert all(len(trips) > 20 for trips in found["round_trip_ms"].values())
    read = load_cluster(out)
    assert read.worker("a").measured[0].model == "mobilenet_v2" and not read.worker("c").measured
    assert read.link("here", "there") == Link(0.002, 1e6)
    assert 0 < read.within_host.alpha_s <= found["within_host"]["alpha_s"]
    code = f"import sys; from coedge_ros.cli.main import main; sys.exit(main({[*options, '--no-link']!r}))"
    again = [sys.executable, "-c", f"if __name__ == '__main__':\n    {code}"]
    repeated = subprocess.run(again, capture_output=True, text=True, timeout=100, env=os.environ)
    assert "as measured before" in repeated.stderr and json.loads(repeated.stdout)["workers"] == found["workers"]
    assert 0 < read.worker("b").message_s < 0.01 and 0 < read.worker("b").stage_s < 0.01


def test_measuring_again_replaces_the_same_model_and_size_and_keeps_others():
    trips = LinkFigures({n: [0.003 + n / 5e8] for n in (1000, 10000, 10**6)}, send_s=0.0003, take_s=0.0001, lost=0)
    values = with_measurements(json.loads(json.dumps(CLUSTER)), {"a": times()})
    values = with_measurements(values, {"a": times(height=32)})
    values = with_measurements(values, {"a": times(seconds=0.4)}, 0.00005, trips)
    measured = values["workers"][0]["measured"]
    assert [(m["input"], m["stages"][0]["seconds"][-1]) for m in measured] == [([32, 64], 0.1), ([64, 64], 0.4)]
    # a round trip of 3 ms is 1.5 ms one way, of which 0.4 ms are the processors' at both ends
    assert values["links"]["within_host"] == {"alpha_s": 0.0011, "bytes_per_s": pytest.approx(5e8)}
    assert values["workers"][0]["message_s"] == 0.0002 and values["workers"][0]["stage_s"] == 0.00005
    assert trips.link.alpha_s == pytest.approx(0.0015)
    # between ends that compute, an exchange of 20 kB took 2.74 ms: 1.1 + 0.04 of them the link's, the rest processors'
    met = with_measurements(values, {"a": times()}, 0.0, replace(trips, meeting_s=0.00274))
    assert met["workers"][0]["message_s"] == 0.0008
    assert values["links"]["default"]["alpha_s"] == 0.002


def test_workers_that_slow_each_other_share_fewer_cores_than_they_have_threads():
    slower = with_measurements(json.loads(json.dumps(CLUSTER)), {n: times() for n in "abc"}, slower=1.6)
    assert slower["hosts"] == [{"name": "here", "cores": 1.25}, {"name": "there"}]
    pretended = json.loads(json.dumps(CLUSTER))
    pretended["workers"][0]["speed_factor"] = 0.1
    assert with_measurements(pretended, {n: times() for n in "abc"}, slower=1.6)["hosts"] == CLUSTER["hosts"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "nowhere"], "has no worker on 'nowhere'"),
        (["--budget", "0"], "--budget must be more than 0"),
        (["--model", "no_such_model", "--input", "64x64", "--no-link"], "no_such_model"),
        (["--input", "big"], "is not HxW"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(cluster, options, message, capsys):
    assert main(["profile", "--cluster", str(cluster), "--budget", "0.01", *options]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("coedge profile:")]
    assert message in line
