"""`coedge record`, `play` and `watch` beside a real cluster: what was said is in the file, and the file plays again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from support.cluster import HEIGHT, WIDTH, WORKERS

pytestmark = pytest.mark.timeout(180)
FRAMES = 6
EXPECTED = {
    "/coedge/partition_plan", "/coedge/manager_status", "/coedge/worker_status", "/coedge/result", "/coedge/image",
    "/coedge/annotated_image", "/coedge/load_markers", "/diagnostics",
}  # fmt: skip


class Command:
    """A `coedge` command in a process of its own: use it as a context manager."""

    def __init__(self, domain: int, folder: Path, *arguments: object):
        self.out, self.err = folder / f"{arguments[0]}.out", folder / f"{arguments[0]}.err"
        code = "import sys; from coedge_ros.cli.main import main; sys.exit(main())"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *map(str, arguments)], stdout=out, stderr=err, start_new_session=True,
                env=os.environ | {"ROS_DOMAIN_ID": str(domain), "PYTHONSAFEPATH": "1", "COLUMNS": "60"},
            )  # fmt: skip

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *exception) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def has_ended(self) -> bool:
        return self.process.poll() is not None


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(FRAMES)]


def outputs(result) -> bytes:
    return bytes(result.tensors[0].data)


def decoded(path: Path) -> dict[str, list]:
    """All messages by topic, decoded from nothing but the file."""
    found = defaultdict(list)
    with path.open("rb") as file:
        for _, channel, _, message in make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages():
            found[channel.topic].append(message)
    return found


def test_what_a_cluster_says_is_recorded_shown_and_its_images_play_again(cluster, tmp_path, pictures):
    path = tmp_path / "run.mcap"
    with Command(cluster.domain, tmp_path, "record", path, "--images") as record:
        with Command(cluster.domain, tmp_path, "watch", "--once", "--seconds", "4") as watch:
            while not watch.has_ended():  # frames all the time, because on a busy machine discovery may take seconds
                cluster.answers(cluster.send_paced(pictures[:2], 0.1))
            assert watch.process.returncode == 0, watch.said
        assert not record.has_ended(), record.said
        answers = cluster.answers(cluster.send_paced(pictures))
        record.process.send_signal(signal.SIGINT)
        cluster.until(record.has_ended, "the recorder ends")
        assert record.process.returncode == 0 and "Traceback" not in record.said, record.said

    picture = watch.out.read_text().splitlines()
    assert len(picture) <= 30 and max(map(len, picture)) <= 100
    for name in WORKERS:  # slow where the machine is busier than at their start
        assert any(name in line and (" ok " in line or " slow " in line) for line in picture), watch.said
    assert " answered" in watch.said and "p50 - ms" not in watch.said, watch.said

    said = decoded(path)
    assert set(said) >= EXPECTED and not [topic for topic in said if "fragment" in topic]
    results, images = said["/coedge/result"], said["/coedge/image"]
    assert [r.frame for r in results[-FRAMES:]] == [a.frame for a in answers]
    assert [outputs(r) for r in results[-FRAMES:]] == [outputs(a) for a in answers]
    assert [bytes(i.data) for i in images[-FRAMES:]] == [p.tobytes() for p in pictures]
    assert (
        said["/coedge/partition_plan"][-1].epoch == cluster.manager.epoch
    )  # latched: from before the recorder's start
    assert {status.name for status in said["/coedge/worker_status"]} == set(WORKERS)

    heard, dropped = len(cluster.record.results), sum(cluster.manager.dropped_counts)
    with Command(cluster.domain, tmp_path, "play", path, "--rate", "2") as play:
        cluster.until(play.has_ended, "the player ends", 60)
        assert play.process.returncode == 0 and f"published {len(images)} images" in play.said, play.said

    def accounted() -> int:  # on a machine busier than at the recording a newer image takes the place of one that waits
        return len(cluster.record.results) - heard + sum(cluster.manager.dropped_counts) - dropped

    try:
        cluster.until(lambda: accounted() == len(images), "all images of the bag answered, or counted as dropped")
    except AssertionError as error:
        played = sorted(cluster.record.name_of(result) or "" for result in cluster.record.results[heard:])
        raise AssertionError(f"{accounted()} of {len(images)} accounted for: {played}; {cluster.manager}") from error
    again = {cluster.record.name_of(result): outputs(result) for result in cluster.record.results[heard:]}
    first = {f"run.mcap#{len(images) - FRAMES + number}": outputs(answer) for number, answer in enumerate(answers)}
    assert set(again) <= {f"run.mcap#{number}" for number in range(len(images))}
    assert {name: again[name] for name in first if name in again} == {n: o for n, o in first.items() if n in again}
    last = f"run.mcap#{len(images) - 1}"  # nothing newer can take its place
    assert again[last] == first[last]
