"""The README's first command, shortened."""

import json
import subprocess
import sys

import pytest

KEYS = {
    "model", "objective", "deadline_ms", "workers", "frames_sent", "frames_answered", "frames_lost", "frames_dropped",
    "max_abs_diff", "scale", "latency_ms", "whole_ms", "rows", "macs_share", "labels",
}  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = "import sys; from coedge_ros.cli.main import main; sys.exit(main())"
    arguments = ["demo", "--photo-loops", "2", "--video-frames", "9", "--rate", "5", "--output", str(folder)]
    done = subprocess.run([sys.executable, "-c", command, *arguments], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1]), folder, done.stdout


@pytest.mark.timeout(240)
def test_the_last_line_is_json_and_every_frame_has_one_exact_answer(demo):
    summary, _, _ = demo
    assert summary.keys() >= KEYS
    assert summary["frames_sent"] == summary["frames_answered"] == 2 * 3 + 9
    assert summary["frames_lost"] == summary["frames_dropped"] == summary["fallbacks"] == 0
    assert 0 < summary["max_abs_diff"] <= 1e-4 * summary["scale"]


@pytest.mark.timeout(240)
def test_the_pictures_are_named_and_the_work_is_shared(demo):
    summary, _, table = demo
    labels = {"chelsea.png": "Egyptian cat", "coffee.png": "espresso", "motorcycle_left.png": "moped"}
    assert summary["labels"].items() >= labels.items()
    assert max(summary["macs_share"].values()) <= 0.6
    assert sum(summary["macs_share"].values()) == pytest.approx(1, abs=1e-3)
    assert "0.6 x the predicted best single worker" in table


@pytest.mark.timeout(240)
def test_it_leaves_annotated_frames_the_load_over_time_and_logs(demo):
    _, folder, _ = demo
    names = {path.name for path in folder.iterdir()}
    assert {
        "chelsea.jpg",
        "coffee.jpg",
        "motorcycle_left.jpg",
        "load_over_time.png",
        "load_markers.png",
        "logs",
    } <= names
    assert {path.stem for path in (folder / "logs").iterdir()} >= {"partition_manager", "worker_1", "camera"}
