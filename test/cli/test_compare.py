"""`coedge compare`: arguments, tables, JSON and pictures, with small models built by hand."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from support.graphs import GRAPHS

from coedge_ros.cli import compare, compare_pictures
from coedge_ros.cli.main import main
from coedge_ros.planning.comparison import PAPER_MODELS, PAPER_PLANNERS

CLUSTER = """
description: for tests
hosts: [{name: a, cores: 4}, {name: b, cores: 4}, {name: c, cores: 4}]
workers:
  - {name: slow, host: a, threads: 4, macs_per_s: 2.0e8, power_w: {idle: 1, compute: 4, transmit: 2}}
  - {name: fast, host: b, threads: 4, macs_per_s: 6.0e8, power_w: {idle: 2, compute: 15, transmit: 4}}
  - {name: third, host: c, threads: 4, macs_per_s: 2.0e8, power_w: {idle: 1, compute: 4, transmit: 2}}
links: {default: {alpha_s: 0.0005, bytes_per_s: 1.0e7}}
manager: {host: a, transmit_w: 2}
"""
CELL = {
    "model", "planner", "bandwidth_mbit_s", "deadline_ms", "status", "latency_ms", "energy_j", "energy_with_idle_j",
}  # fmt: skip
REDUCTION = {"model", "planner", "baseline", "deadline_ms", "energy_reduction_percent", "latency_ratio"}


@pytest.fixture
def cluster(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER)
    return str(path)


@pytest.fixture
def small(monkeypatch):
    """Models are graphs built by hand, whatever their name; the calls are noted."""
    asked = []

    def load(model, size):
        asked.append((model, size))
        kinds = list(GRAPHS)
        return SimpleNamespace(graph=GRAPHS[kinds[len(model) % 2]](*(size or (64, 64))))

    monkeypatch.setattr(compare, "load_partitioned", load)
    return asked


def answer(capsys, *arguments):
    assert main(["compare", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


# -- JSON and tables --------------------------------------------------------------------------------------------------


def test_json_to_the_output_is_pure_and_has_the_promised_keys(small, cluster, capsys):
    values = answer(capsys, "--cluster", cluster, "--models", "a,bb", "--deadline-ms", "20,40", "--json", "-")
    assert len(values["cells"]) == 2 * 2 * len(PAPER_PLANNERS)
    assert all(set(cell) >= CELL for cell in values["cells"])
    assert values["reductions"] and all(set(item) >= REDUCTION for item in values["reductions"])
    assert {cell["status"] for cell in values["cells"]} <= {"optimal", "feasible", "infeasible"}
    assert {cell["deadline_ms"] for cell in values["cells"]} == {20, 40}
    assert values["models"] == {"a": [64, 64], "bb": [64, 64]} and values["objective"] == "energy"


def test_json_to_a_file_leaves_the_tables_on_the_output(small, cluster, tmp_path, capsys):
    path = tmp_path / "found.json"
    arguments = ["--cluster", cluster, "--models", "a", "--planners", "local,fused", "--json", str(path)]
    assert main(["compare", *arguments]) == 0
    text = capsys.readouterr().out
    assert "local" in text and "fused" in text and "energy J" in text
    assert [cell["planner"] for cell in json.loads(path.read_text())["cells"]] == ["local", "fused"]


def test_the_input_size_is_passed_on(small, cluster, capsys):
    values = answer(capsys, "--cluster", cluster, "--models", "a", "--input", "48x32", "--planners", "local", "--json")
    assert small == [("a", (48, 32))] and values["models"] == {"a": [48, 32]}


@pytest.mark.parametrize(
    "sweep, key, values",
    [
        ("bandwidth", "bandwidth_mbit_s", list(compare.SWEEPS["bandwidth"])),
        ("deadline", "deadline_factor", list(compare.SWEEPS["deadline"])),
        ("workers", "available_workers", [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_a_sweep_has_a_cell_for_each_of_its_settings(small, cluster, capsys, sweep, key, values):
    arguments = ["--cluster", cluster, "--models", "a", "--planners", "local,coedge", "--sweep", sweep, "--json"]
    found = answer(capsys, *arguments)
    assert [cell[key] for cell in found["cells"] if cell["planner"] == "coedge"] == values
    assert found["objective"] == ("energy" if sweep == "deadline" else "latency")


def test_objective_idle_and_message_latency_change_what_is_planned(small, cluster, capsys):
    plain = ["--cluster", cluster, "--models", "a", "--planners", "local", "--json"]
    (least,) = answer(capsys, *plain)["cells"]
    (fastest,) = answer(capsys, *plain, "--objective", "latency")["cells"]
    (late,) = answer(capsys, *plain, "--objective", "latency", "--alpha-ms", "100")["cells"]
    assert fastest["latency_ms"] < least["latency_ms"] and fastest["energy_j"] > least["energy_j"]
    assert late["latency_ms"] > fastest["latency_ms"]


def test_speeds_that_the_file_does_not_have_can_be_given(small, tmp_path, capsys):
    path = tmp_path / "unknown.yaml"
    path.write_text(CLUSTER.replace("macs_per_s: 2.0e8, ", ""))
    arguments = ["--cluster", str(path), "--models", "a", "--planners", "local", "--objective", "latency", "--json"]
    slow, fast = (answer(capsys, *arguments, "--macs-per-s", v)["cells"][0]["latency_ms"] for v in ("1e7", "1e10"))
    assert fast < slow


# -- the paper's setting ----------------------------------------------------------------------------------------------


def test_the_papers_setting_is_its_models_planners_deadlines_and_the_stand_in_testbed(small, capsys, monkeypatch):
    monkeypatch.setattr(compare, "PAPER_BANDWIDTHS", (50.0,))
    values = answer(capsys, "--paper", "--input", "24x16", "--json", "-")
    cells = values["cells"]
    assert tuple(values["models"]) == PAPER_MODELS == ("alexnet", "vgg_f", "googlenet", "mobilenet_v1")
    assert tuple(dict.fromkeys(cell["planner"] for cell in cells)) == PAPER_PLANNERS
    assert {cell["deadline_factor"] for cell in cells} == {0.5, 0.75, 1.0}
    assert {cell["bandwidth_mbit_s"] for cell in cells} == {50}
    assert {cell["available_workers"] for cell in cells} == {6}
    assert values["cluster"].endswith("coedge_paper.yaml")
    assert values["paper_energy_reduction_percent"] == [25.5, 66.9]
    pairs = {(item["planner"], item["baseline"]) for item in values["summaries"]}
    assert pairs == {
        *(("coedge", name) for name in PAPER_PLANNERS[:3]), *(("fused", name) for name in PAPER_PLANNERS[:4])
    }  # fmt: skip
    assert len(values["aims"]) == 4 * 3
    assert all(aim["met"] or aim["why"] for aim in values["aims"])


def test_the_papers_tables_show_ranges_aims_and_the_papers_own_range(small, capsys):
    arguments = ["--paper", "--models", "alexnet", "--input", "24x16", "--bandwidths", "50"]
    assert main(["compare", *arguments]) == 0
    text = capsys.readouterr().out
    assert "25.5 to 66.9 %" in text and "stand-in" in text and "fused against coedge" in text
    assert text.count("why below") == 1


def test_the_stand_in_testbed_is_as_it_was_before_the_first_comparison():
    text = (Path(compare._paper_testbed())).read_bytes()
    assert hashlib.sha256(text).hexdigest() == "62a85f65b9d2726f633232c3017e95347d988c781201ec5172cc1b0480bf4212"


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_the_papers_link_rates_are_10_to_300_mbit_s():
    assert compare.PAPER_BANDWIDTHS == (10, 50, 100, 300)


def test_plots_leaves_every_picture_and_names_it(small, cluster, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(compare_pictures, "FACTORS", (0.5, 1.0, 2.0))
    monkeypatch.setattr(compare_pictures, "BANDWIDTHS", (10.0, 100.0))
    monkeypatch.setattr(compare_pictures, "MOST_WORKERS", 2)
    folder = tmp_path / "new" / "pictures"
    arguments = ["--cluster", cluster, "--models", "a,bb", "--planners", "local,coedge", "--input", "24x16"]
    assert main(["compare", *arguments, "--bandwidths", "10,50", "--plots", str(folder)]) == 0
    names = {
        "bars_10_mbit_s", "bars_50_mbit_s", "energy_against_deadline", "latency_against_bandwidth",
        "latency_against_workers", "adaptation_to_bandwidth",
    }  # fmt: skip
    numbers = json.loads((folder / "numbers.json").read_text())
    assert set(numbers) == {name for name in names if not name.startswith("bars")}
    assert {c["deadline_factor"] for c in numbers["energy_against_deadline"]} == {0.5, 1.0, 2.0}
    assert {c["bandwidth_mbit_s"] for c in numbers["latency_against_bandwidth"]} == {10, 100}
    assert set(numbers["adaptation_to_bandwidth"][0]["latency_ms"]) == {
        "coedge, first plan kept",
        "coedge, planned again",
    }
    assert {path.stem for path in folder.glob("*.png")} == names
    text = capsys.readouterr().out
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            assert picture.format == "PNG" and min(picture.size) > 200
        assert str(path) in text


def test_the_steps_of_the_progress_bar_are_as_many_as_are_announced(small, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(compare_pictures, "FACTORS", (1.0,))
    monkeypatch.setattr(compare_pictures, "BANDWIDTHS", (10.0,))
    parser = __import__("argparse").ArgumentParser()
    compare.add_arguments(parser)
    arguments = ["--cluster", cluster, "--models", "a", "--planners", "local,coedge", "--input", "24x16"]
    comparison, done = compare._comparison(parser.parse_args(arguments)), []
    compare_pictures.make_pictures(comparison, comparison.cells(), tmp_path, done.append)
    assert len(done) == compare_pictures.steps(comparison)


# -- bad arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--sweep", "height"], "'height' is none of bandwidth, deadline, workers"),
        (["--planners", "fuse"], "'fuse' is none of local, modnn"),
        (["--planners", "manual"], "'manual' is none of"),
        (["--models", "a,,b"], "names with commas"),
        (["--objective", "speed"], "none of energy, latency, throughput"),
        (["--input", "large"], "is not HxW"),
        (["--deadline-ms", "0"], "must be above 0"),
        (["--deadline-ms", "-5"], "must be above 0"),
        (["--deadline-ms", "nan"], "must be above 0"),
        (["--deadline-ms", "inf"], "must be above 0"),
        (["--deadline-ms", "soon"], "must be numbers"),
        (["--bandwidths", "10,fast"], "must be numbers"),
        (["--deadline-ms", "5", "--deadline-factors", "1"], "not both"),
        (["--deadline-ms", "5", "--sweep", "deadline"], "not both"),
        (["--deadline-factors", "1", "--sweep", "deadline"], "one or the other"),
        (["--bandwidths", "5", "--sweep", "bandwidth"], "one or the other"),
        (["--alpha-ms", "-1"], "0 or above"),
        (["--macs-per-s", "-1"], "above 0"),
        (["--json", "/no/such/folder/x.json"], "folder that exists"),
        (["--json", "."], "must be a file"),
        (["--plots", __file__], "cannot be made"),
        (["--cluster", "/no/such/file.yaml"], "cannot be read"),
    ],
)
def test_a_mistake_is_one_clear_line_and_code_2(small, arguments, told, capsys):
    assert main(["compare", *arguments]) == 2
    out, error = capsys.readouterr()
    assert told in error and error.startswith("coedge compare: ") and error.count("\n") == 1 and not out


def test_a_cluster_without_workers_and_a_model_that_is_not_known_are_one_clear_line(tmp_path, cluster, capsys):
    assert main(["compare", "--cluster", cluster, "--models", "no_such_model"]) == 2
    error = capsys.readouterr().err
    assert "no_such_model" in error and error.count("\n") == 1
