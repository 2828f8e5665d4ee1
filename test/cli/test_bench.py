"""`coedge bench` without a cluster: what it reports, and fragments alone."""

import argparse
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from support.cluster import TEST_FOLDER

from coedge_ros.cli.bench import add_arguments
from coedge_ros.cli.bench_cluster import equal_workers
from coedge_ros.cli.bench_in_process import InProcessBench
from coedge_ros.cli.bench_measure import Measured
from coedge_ros.cli.bench_report import print_report, summarise

TINY = ["--model", "support.tiny:net", "--input", "48x64"]
KEYS = {
    "whole_ms", "ceiling_ms", "cooperative_ms", "ratio_p50", "efficiency_p50", "throughput_ratio", "max_abs_diff",
    "predicted_ms", "bytes_per_frame", "messages_per_frame", "workers",
}  # fmt: skip


def test_the_report_has_what_was_measured_and_says_which_links_are_coded(capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args([*TINY, "--transport", "inprocess", "--codec", "int8"])
    values = equal_workers(2, 1)
    for worker in values["workers"]:
        worker["macs_per_s"] = 1e9
    manager = {"planner": "manual", "rows": "30,18", "cuts": "layers", "codec": args.codec}
    measured = Measured(whole_s=[0.02] * 4, ceiling_s=[0.012, 0.012, 0.013, 0.011], cooperative_s=[0.016] * 4)
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    with InProcessBench(values, args.model, "", (48, 64), manager) as cluster:
        measured.results = [cluster.answer(frame)[0] for _ in range(4)]
        measured.stream_frames, measured.stream_s = cluster.stream(frame, 5, 2)
        assert measured.stream_frames == 5 and measured.stream_s > 0
        measured.max_abs_diff, measured.scale = 0.001, 1.0
        measured.cpu_s, measured.resident_bytes, measured.peak_bytes = {"it": 0.1}, {"it": 10**8}, {"it": 2 * 10**8}
        summary = summarise(args, measured, cluster.plan)
    assert set(summary) >= KEYS and json.loads(json.dumps(summary)) == summary
    assert summary["ratio_p50"] == 1.25 and summary["efficiency_p50"] == 0.75
    assert summary["coded_links"] == ["worker_1 to worker_2 int8", "worker_2 to worker_1 int8"]
    assert summary["tolerance"] == 0.05 and summary["relative_error"] == 0.001
    for worker in summary["workers"].values():
        assert set(worker["split_ms"]) == {"scatter", "compute", "wait", "exchange", "gather", "head"}
        assert worker["split_ms"]["compute"] > 0 and worker["bytes_out"] > 0
    print_report(summary)
    text = capsys.readouterr().out
    assert "worker_1 to worker_2 int8" in text and "peak 200" in text and "95 %" in text


@pytest.mark.timeout(120)
def test_fragments_alone_are_measured_over_both_transports():
    command = (
        "import sys; from coedge_ros.cli.main import main; sys.exit(main(['bench', '--fragments', '--frames', '3']))"
    )
    environment = os.environ | {"PYTHONPATH": str(TEST_FOLDER), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", command], env=environment, capture_output=True, text=True, timeout=100, check=True
    )
    rows = json.loads(done.stdout.splitlines()[-1])["fragments"]
    assert {(row["transport"], row["size_bytes"]) for row in rows} >= {
        (transport, size) for transport in ("dds", "inprocess") for size in (65536, 1048576)
    }
    assert all(row["one_way_ms"]["p50"] > 0 and row["throughput_mb_s"] > 0 for row in rows)
    assert "fragments alone" in done.stdout
