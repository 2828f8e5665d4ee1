"""The launch files, run without ROS's launch: which nodes they ask for."""

from pathlib import Path

import pytest
from support import launch_stub

FOLDER = Path(__file__).parents[2] / "launch"


@pytest.fixture
def nodes(monkeypatch):
    launch_stub.install(monkeypatch)

    def of(file: str, **arguments: str) -> dict:
        _, made = launch_stub.run(FOLDER / file, **arguments)
        return {m.options["name"]: m.options for m in made if m.kind == "Node" and m.options["name"] != "rviz"}

    return of


WORKERS = ["worker_1", "worker_2", "worker_3"]


def test_each_file_starts_its_part_of_a_cluster(nodes):
    beside = ["partition_manager", "load_visualizer", "camera"]
    assert list(nodes("cluster.launch.py")) == [*WORKERS, *beside]
    assert list(nodes("worker.launch.py")) == WORKERS
    assert list(nodes("manager.launch.py")) == beside


@pytest.mark.parametrize("empty", ["", "''", '""'])  # `ros2 launch` refuses `source:=`, so its users write quotes
def test_without_a_source_there_is_no_camera(nodes, empty):
    assert "camera" not in nodes("cluster.launch.py", source=empty)


@pytest.mark.parametrize("file", ["cluster.launch.py", "worker.launch.py"])
def test_an_enclave_is_the_prefix_and_the_name_of_the_process(nodes, file):
    for name, options in nodes(file, enclave="/team/").items():
        assert options["arguments"][-2:] == ["--enclave", f"/team/{name}"]
    for options in nodes(file).values():
        assert "--enclave" not in options["arguments"]


def test_simulated_time_is_asked_for_by_all_or_by_none(nodes):
    for options in nodes("cluster.launch.py", use_sim_time="true").values():
        assert options["parameters"][0]["use_sim_time"] is True
    for options in nodes("cluster.launch.py").values():
        assert "use_sim_time" not in options["parameters"][0]


def test_cameras_and_their_transport_reach_the_readers(nodes):
    found = nodes("cluster.launch.py", image_topics="front, rear", image_transport="compressed")
    for name in ("partition_manager", "load_visualizer"):
        (parameters,) = found[name]["parameters"]
        assert (parameters["image_topics"], parameters["image_transport"]) == (["front", "rear"], "compressed")
    assert found["camera"]["remappings"] == [("image", "front")]
    assert "image_topics" not in nodes("cluster.launch.py")["partition_manager"]["parameters"][0]
