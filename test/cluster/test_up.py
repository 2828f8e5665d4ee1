"""`coedge up` as a user starts it: what it starts ends with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from support.cluster import NAMESPACE, TEST_FOLDER

from coedge_ros.nodes.collector import Listening
from coedge_ros.nodes.domains import free_domain
from coedge_ros.nodes.shared_memory import FOLDER

pytestmark = pytest.mark.timeout(180)
TINY = ["--model", "support.tiny:net", "--weights", "", "--input", "48x64"]


class Up:
    """The command in a process of its own, on a domain of its own."""

    def __init__(self, folder: Path, *arguments: str):
        self.domain = free_domain()
        path = os.pathsep.join(filter(None, [str(TEST_FOLDER), os.environ.get("PYTHONPATH")]))
        self.log = folder / "up.txt"
        chosen = {name: value for name, value in os.environ.items() if not name.endswith("_DEFAULT_PROFILES_FILE")}
        own = {"ROS_DOMAIN_ID": str(self.domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        command = [sys.executable, "-c", "import sys; from coedge_ros.cli.main import main; sys.exit(main())", "up"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                env=chosen | own | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.seen: dict[int, psutil.Process] = {}

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.children()
        for process in (*self.seen.values(), self.process):
            if process.is_running() if isinstance(process, psutil.Process) else process.poll() is None:
                process.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def children(self) -> list[psutil.Process]:
        """Processes that it has started, those included that it has been seen to have."""
        if self.process.poll() is None:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self.seen[child.pid] = child
        return list(self.seen.values())

    def segments(self) -> set[str]:
        """Files in shared memory that its processes use."""
        names = set()
        for child in self.children():
            maps = Path(f"/proc/{child.pid}/maps")
            try:
                names |= {line.split("/")[-1] for line in maps.read_text().splitlines() if f"{FOLDER}/fast" in line}
            except OSError:
                continue
        return names

    def wait_until(self, condition, what: str, limit_s: float = 60.0, listening: Listening | None = None) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, f"not within {limit_s} s: {what}\n{self.said}"
            if listening:
                listening.spin(0.05)
            else:
                time.sleep(0.05)


@pytest.fixture
def pictures(tmp_path):
    """Two pictures, and a file that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.full((48, 64, 3), 100, np.uint8))
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_it_answers_pictures_and_ctrl_c_ends_every_process_and_leaves_nothing_in_shared_memory(tmp_path, pictures):
    with Up(tmp_path, *TINY, "--source", str(pictures), "--loop", "--rate", "20") as up:
        with Listening(NAMESPACE, up.domain) as listening:
            record = listening.record
            up.wait_until(lambda: len(record.results) >= 4 or up.process.poll() is not None, "answers", 100, listening)
            # a result may come before the name of its picture
            assert {record.name_of(r) for r in record.results} <= {"", "a.png", "b.png"}
        assert "skipped broken.png" in up.said
        children, segments = up.children(), up.segments()
        assert len(children) == 6 and len(segments) >= 6, f"{children}\n{segments}\n{up.said}"
        began = time.monotonic()
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(15) == 0, up.said
        print(f"ended in {time.monotonic() - began:.2f} s")
        alive = [child for child in children if _lives(child)]
        assert not alive, f"{alive}\n{up.said}"
        leaked = abandoned(segments)
        assert not leaked, f"{leaked}\n{up.said}"
        assert "Traceback" not in up.said, up.said


def test_its_processes_do_not_outlive_it_when_it_is_killed(tmp_path):
    with Up(tmp_path, *TINY, "--only", "workers") as up:
        with Listening(NAMESPACE, up.domain) as listening:
            up.wait_until(lambda: len(listening.record.workers) == 3, "three workers", 60, listening)
        children = up.children()
        assert len(children) == 3
        up.process.kill()
        up.process.wait()
        up.wait_until(lambda: not any(map(_lives, children)), "all workers end", 15)


def abandoned(names: set[str]) -> set[str]:
    """Those of the files in shared memory that are there and that no living process has open.

    Found without the product's own search. Processes map files of others on this machine too, which are theirs.
    """
    opened = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            opened |= {line.split("/")[-1] for line in maps.read_text().splitlines() if f"{FOLDER}/fast" in line}
        except OSError:
            continue
    return {name for name in names if (FOLDER / name).exists()} - opened


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_missing_source_ends_everything_with_code_2_and_one_clear_line(tmp_path):
    with Up(tmp_path, *TINY, "--source", "/no/such/folder") as up:
        up.wait_until(lambda: up.children() and up.process.poll() is not None, "it ends")
        assert up.process.returncode == 2
        assert "error: parameter source: /no/such/folder does not exist" in up.said
        assert not any(map(_lives, up.children()))


CLUSTERS = {
    "an unknown key": (
        "hosts: [{name: a}]\nworkers: [{name: w, host: a, colour: red}]\nlinks: {default: {bytes_per_s: 1.0e9}}",
        "colour",
    ),
    "the same worker twice": (
        "hosts: [{name: a}]\nworkers: [{name: w, host: a}, {name: w, host: a}]\nlinks: {default: {bytes_per_s: 1.0e9}}",
        "'w' is there twice",
    ),
    "a negative power": (
        "hosts: [{name: a}]\nworkers: [{name: w, host: a, power_w: {idle: -1}}]\n"
        "links: {default: {bytes_per_s: 1.0e9}}",
        "idle",
    ),
}


@pytest.mark.parametrize(("text", "said"), CLUSTERS.values(), ids=CLUSTERS)
def test_a_mistake_in_the_cluster_file_is_told_before_anything_starts(tmp_path, text, said):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with Up(tmp_path, *TINY, "--cluster", str(path)) as up:
        assert up.process.wait(60) == 2
        assert "cluster.yaml" in up.said and said in up.said and "Traceback" not in up.said, up.said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "mobilenet-v2x"], "did you mean mobilenet_v2"),
        (["--weights", "/no/such/file"], "there is no file /no/such/file"),
        (["--input", "large"], "write rows x columns"),
        (["--cluster", "/no/such/file"], "/no/such/file"),
        (["--host", "nowhere"], "puts no worker on host 'nowhere'"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_before_anything_starts(tmp_path, arguments, said):
    with Up(tmp_path, *arguments) as up:
        assert up.process.wait(60) == 2
        assert said in up.said and "Traceback" not in up.said, up.said
