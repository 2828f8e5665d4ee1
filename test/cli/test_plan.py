"""`coedge plan` as a user calls it: tables, JSON, and what it says to requests that cannot be planned."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from coedge_ros.cli.main import main

CLUSTER = """
hosts: [{name: a}, {name: b}, {name: c}]
workers:
  - {name: left, host: a, macs_per_s: 2.0e6, power_w: {idle: 1.0, compute: 5.0, transmit: 2.0}}
  - {name: right, host: b, macs_per_s: 3.0e6, power_w: {idle: 1.0, compute: 4.0, transmit: 2.0}}
links:
  default: {alpha_s: 0.0001, bytes_per_s: 12.5e6}
  within_host: {alpha_s: 0.0001, bytes_per_s: 500e6}
manager: {host: c}
"""


@pytest.fixture
def cluster(tmp_path):
    """A function that writes the cluster file with some text replaced."""

    def write(old="", new=""):
        assert old in CLUSTER
        path = tmp_path / "cluster.yaml"
        path.write_text(CLUSTER.replace(old, new) if old else CLUSTER)
        return str(path)

    return write


def plan(cluster, *arguments):
    return main(["plan", "--model", "support.tiny:net", "--input", "48x48", "--cluster", cluster, *arguments])


def refused(capfd, cluster, *arguments):
    """The one line on the error output; nothing else is printed."""
    assert plan(cluster, *arguments) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err.startswith("coedge plan: ") and captured.err.count("\n") == 1
    return captured.err


def test_the_tables_name_rows_costs_the_critical_path_and_the_reasons(capsys, cluster):
    assert plan(cluster(), "--deadline-factor", "0.8") == 0
    text = capsys.readouterr().out
    for part in (
        "planner fused: least energy within",
        "Rows [start, stop) of each stage's last map",
        "compute [ms]",
        "in [kB]",
        "energy [J]",
        "Critical path:",
        "Why: For least energy within",
        "The best single worker, right, would take",
        "Runner-up: ",
    ):
        assert part in text
    rows = [line.split() for line in text.splitlines() if line.split()[:1] in (["left"], ["right"])]
    assert [int(row[1]) for row in rows] and sum(int(row[1]) for row in rows) == 48


def test_json_has_the_plan_its_costs_and_the_critical_path(capsys, cluster):
    assert plan(cluster(), "--objective", "latency", "--json", "-") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["status"] == "feasible" and values["planner"] == "fused"
    assert values["plan"]["workers"] == ["left", "right"]
    path = values["critical_path"]
    assert path[0]["start_s"] == 0 and path[-1]["end_s"] == pytest.approx(values["predicted"]["latency_s"], rel=0.02)
    assert all(a["end_s"] <= b["start_s"] + 1e-9 for a, b in pairwise(path))


@pytest.mark.parametrize("planner", ["local", "modnn", "musical_chair", "deepthings", "coedge", "exact", "fused"])
def test_every_planner_answers_with_json_and_nothing_else_on_the_output(capfd, cluster, planner):
    assert plan(cluster(), "--planner", planner, "--deadline-factor", "1.0", "--json", "-") in (0, 1)
    assert json.loads(capfd.readouterr().out)["planner"] == planner


def test_a_deadline_that_nothing_meets_ends_with_1_and_the_plan_that_comes_closest(capsys, cluster):
    assert plan(cluster(), "--deadline-ms", "0.1") == 1
    text = capsys.readouterr().out
    assert "infeasible" in text and "In the way: the deadline of 0.1 ms; the best latency found is" in text


def test_too_little_memory_for_any_split_ends_with_1_and_names_the_workers(capsys, cluster):
    path = cluster("macs_per_s: 2.0e6,", "macs_per_s: 2.0e6, memory_bytes: 10,")
    assert plan(path, "--planner", "manual", "--rows", "24,24") == 1
    assert "left needs 0.0 MB" in capsys.readouterr().out
    both = CLUSTER.replace("e6, power_w", "e6, memory_bytes: 10, power_w")
    Path(path).write_text(both)
    assert plan(path) == 1
    assert "In the way: " in capsys.readouterr().out


def test_a_worker_that_cannot_be_reached_gets_no_rows(capsys, cluster):
    pairs = "within_host: {alpha_s: 0.0001, bytes_per_s: 500e6}\n"
    cut = "".join(
        f"    - {{from: {a}, to: {b}, alpha_s: 0, bytes_per_s: 0, both_ways: true}}\n"
        for a, b in (("c", "b"), ("a", "b"))
    )
    assert plan(cluster(pairs, pairs + "  pairs:\n" + cut), "--objective", "latency", "--json", "-") == 0
    values = json.loads(capsys.readouterr().out)
    assert {w["name"]: w["rows"] for w in values["predicted"]["workers"]} == {"left": 48, "right": 0}


@pytest.mark.parametrize(
    "arguments, advice",
    [
        (["--deadline-ms", "0"], "must be above 0"),
        (["--deadline-ms", "-5"], "must be above 0"),
        (["--deadline-ms", "nan"], "must be above 0"),
        (["--deadline-ms", "5", "--deadline-factor", "0.5"], "not both"),
        (["--rows", "1,2"], "one number >= 0 per worker (left, right), together 48"),
        (["--rows", "a,b"], "whole numbers with commas"),
        (["--input", "48"], "is not HxW"),
        (["--input", "0x48"], "is not HxW"),
        (["--model", "vgg_g"], "vgg_f"),
        (["--cluster", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_what_cannot_be_planned_ends_with_2_and_one_line_of_advice(capfd, cluster, arguments, advice):
    assert advice in refused(capfd, cluster(), *arguments)


MODELS = """
from torch import nn


class Branches(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


def net():
    return Branches()
"""


def test_a_model_that_cannot_be_split_and_an_empty_cluster_are_refused(capfd, cluster, tmp_path, monkeypatch):
    (tmp_path / "branching_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    assert "branch" in refused(capfd, cluster(), "--model", "branching_models:net")
    empty = CLUSTER[: CLUSTER.index("workers:")] + "workers: []\n" + CLUSTER[CLUSTER.index("links:") :]
    path = tmp_path / "empty.yaml"
    path.write_text(empty)
    assert "worker" in refused(capfd, str(path))
