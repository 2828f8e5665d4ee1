"""`coedge doctor --live` beside a real cluster: nothing to complain of when all is well, and the missing one named."""

import pytest
from support.cluster import NAMESPACE

from coedge_ros.nodes.composition import cluster_of
from coedge_ros.nodes.examination import examine

pytestmark = pytest.mark.timeout(180)


def test_a_healthy_cluster_gives_no_cause_for_complaint(cluster, reference, monkeypatch):
    cluster.ask(reference.frames(1)[0])
    monkeypatch.setenv("ROS_DOMAIN_ID", str(cluster.domain))
    found = examine(NAMESPACE, cluster_of(cluster.options.cluster), 3.0)
    assert [str(f) for f in found if f.level != "ok"] == []
    said = "\n".join(map(str, found))
    assert "workers: ok: all 3 are there" in said and "manager state: ok: active" in said
