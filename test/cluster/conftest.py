"""A running cluster that tests share, and the logs of its processes with every failure."""

from __future__ import annotations

import pytest
from support.cluster import FIXED_SHARES, HEIGHT, MANAGER, WIDTH, Cluster
from support.reference import Reference, write_rescaled_weights

from coedge_ros.nodes.composition import ClusterOptions
from coedge_ros.nodes.model_parameters import load_and_partition


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        clusters = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Cluster)]
        report.sections += [("logs of the cluster", cluster.logs(40)) for cluster in clusters]


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Rescaled weights of MobileNetV2."""
    return write_rescaled_weights(tmp_path_factory.mktemp("weights"), "mobilenet_v2", HEIGHT, WIDTH)


@pytest.fixture(scope="session")
def reference(weights):
    """MobileNetV2 in this process."""
    return Reference("mobilenet_v2", weights, HEIGHT, WIDTH)


@pytest.fixture(scope="session")
def options(weights):
    """MobileNetV2 on three workers, images from the test."""
    return ClusterOptions(
        model="mobilenet_v2", weights=str(weights), height=HEIGHT, width=WIDTH, source="", manager=MANAGER
    )


@pytest.fixture(scope="session")
def partitioned(weights):
    """MobileNetV2 as manager and workers have it, to derive schedules from."""
    values = {"model": "mobilenet_v2", "model_arguments": "", "weights": str(weights), "height": HEIGHT, "width": WIDTH}
    return load_and_partition(values)[1]


@pytest.fixture(scope="session")
def _shared_cluster(options, tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster"), options, FIXED_SHARES) as cluster:
        yield cluster


@pytest.fixture
def cluster(_shared_cluster):
    """The shared cluster, with all of its workers in use."""
    _shared_cluster.wait_until_active()
    return _shared_cluster
