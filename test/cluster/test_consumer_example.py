"""The node of examples/coedge_consumer beside a real cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from std_msgs.msg import Bool
from support.cluster import NAMESPACE

EXAMPLE = Path(__file__).parents[2] / "examples" / "coedge_consumer"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def consumer(cluster, tmp_path):
    """Starts the node for a list of labels; returns what it says."""
    log, started = tmp_path / "stop_node.txt", []

    def start(*labels: str):
        parameters = ["-p", f"labels:={json.dumps(labels)}", "-p", "min_probability:=0.0"]
        path = os.pathsep.join(filter(None, [str(EXAMPLE), os.environ.get("PYTHONPATH")]))
        with log.open("wb") as out:
            started.append(subprocess.Popen(
                [sys.executable, "-c", "from coedge_consumer.stop_node import main; main()",
                 "--ros-args", "-r", f"__ns:=/{NAMESPACE}", *parameters],
                env=os.environ | {"ROS_DOMAIN_ID": str(cluster.domain), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
                stdout=out, stderr=out,
            ))  # fmt: skip
        return log.read_text

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def test_it_says_stop_for_a_label_of_its_list_and_go_for_others(cluster, reference, consumer):
    frame = reference.frames(1)[0]
    best = cluster.ask(frame).classes[0]
    said, heard = consumer(best.label or str(best.id)), []
    subscription = cluster.node.create_subscription(Bool, "stop", lambda message: heard.append(message.data), 10)
    try:
        for _ in range(20):  # answers before the node has matched the manager are not for it
            cluster.ask(frame)
            if heard:
                break
        assert heard and all(heard), said()
        cluster.until(lambda: "stop: " in said(), "the node logs why")
        assert "worker_1" in said()
        assert cluster.listening.set_parameter("stop_node", "labels", ["something else"])
        heard.clear()
        cluster.ask(frame)
        cluster.until(lambda: heard, "a word of the node")
        assert heard == [False]
    finally:
        cluster.node.destroy_subscription(subscription)
