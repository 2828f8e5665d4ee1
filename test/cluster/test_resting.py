"""A worker that is too hot, or whose battery is flat, is not used until that is over; its host's meter is read."""

import pytest
from sensor_msgs.msg import BatteryState
from support.cluster import MANAGER, WORKERS, Cluster
from support.reference import Reference, write_rescaled_weights

from coedge_ros.msg import WorkerStatus
from coedge_ros.nodes import qos
from coedge_ros.nodes.composition import ClusterOptions

pytestmark = pytest.mark.timeout(120)

HEIGHT, WIDTH = 48, 64
HOT, FLAT = "worker_2", "worker_3"


@pytest.fixture(scope="module")
def sensors(tmp_path_factory):
    """A /sys with one thermal zone and one power counter."""
    root = tmp_path_factory.mktemp("sys")
    for name, content in (
        ("class/thermal/thermal_zone0/temp", 50000),
        ("class/powercap/intel-rapl:0/energy_uj", 1000000),
        ("class/powercap/intel-rapl:0/max_energy_range_uj", 10**9),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(str(content))
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    weights = write_rescaled_weights(tmp_path_factory.mktemp("weights"), "support.tiny:net", HEIGHT, WIDTH)
    return Reference("support.tiny:net", weights, HEIGHT, WIDTH), weights


@pytest.fixture(scope="module")
def cluster(whole, sensors, tmp_path_factory):
    entries = {"partition_manager": "support.entries:manager_with_fixed_shares"}
    options = ClusterOptions(
        model="support.tiny:net", weights=str(whole[1]), height=HEIGHT, width=WIDTH, source="", with_visualizer=False,
        manager=MANAGER,
    )  # fmt: skip
    cluster = Cluster(tmp_path_factory.mktemp("resting"), options, entries)
    cluster.specs[HOT].parameters.update(max_temperature_c=80.0, sysfs_root=str(sensors), power_source="auto")
    cluster.specs[FLAT].parameters.update(
        battery_floor=0.2, battery_topic="robot_3/battery", sysfs_root=str(sensors / "none"), power_source="rapl"
    )
    with cluster:
        cluster.wait_until_active()
        yield cluster


def test_a_worker_that_is_too_hot_is_left_out_and_used_again_when_it_is_cooler(cluster, whole, sensors):
    zone = sensors / "class/thermal/thermal_zone0/temp"
    assert cluster.worker(HOT).temperature_c == 50.0
    zone.write_text("90000")
    cluster.until(lambda: HOT not in cluster.plan().workers, "a plan without it")
    assert cluster.worker(HOT).state == WorkerStatus.STATE_RESTING
    assert cluster.worker(HOT).message == "rests: 90 °C, limit 80 °C"
    frame = whole[0].frames(1, seed=40)[0]
    result = cluster.ask(frame)
    assert whole[0].is_equal(result, frame) and not result.fallback and HOT not in {u.name for u in result.workers}
    assert "rests: 90" in cluster.log_of(HOT)
    zone.write_text("70000")
    cluster.wait_until_active(WORKERS)


def test_a_worker_whose_battery_is_flat_is_left_out_and_used_again_when_it_is_charged(cluster):
    battery = cluster.node.create_publisher(BatteryState, "robot_3/battery", qos.BATTERY)
    cluster.until(lambda: battery.get_subscription_count() > 0, "the worker listens to the battery")
    assert cluster.worker(FLAT).battery != cluster.worker(FLAT).battery  # not known yet

    def charge(percentage: float) -> bool:
        battery.publish(BatteryState(percentage=percentage))
        return FLAT in cluster.plan().workers

    for nonsense in (float("nan"), -1.0, 100.0):
        charge(nonsense)
    cluster.until(lambda: not charge(0.05), "a plan without it")
    assert cluster.worker(FLAT).message == "rests: battery at 5%, floor 20%"
    cluster.until(lambda: charge(0.9), "a plan with it")


def test_power_comes_from_the_meter_where_there_is_one_and_else_it_is_said_that_it_is_modelled(cluster, sensors):
    assert [cluster.worker(name).power_source for name in WORKERS] == ["modelled", "rapl", "modelled"]
    before_j = cluster.worker(HOT).energy_j
    (sensors / "class/powercap/intel-rapl:0/energy_uj").write_text("43000000")
    cluster.until(lambda: cluster.worker(HOT).energy_j == pytest.approx(before_j + 42.0), "42 J more")
    assert "power is modelled: no intel-rapl" in cluster.log_of(FLAT)
    assert "power is modelled" not in cluster.log_of("worker_1")  # as it was asked for
