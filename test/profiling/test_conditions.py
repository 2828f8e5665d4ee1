"""Heat and charge, on sysfs trees made for the test."""

import math

import pytest

from coedge_ros.profiling.conditions import COOLER_C, FULLER, Limits, Throttling, temperature_c

CPU = "devices/system/cpu/"


def put(root, files: dict[str, object]):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def test_the_hottest_zone_counts_and_sensors_that_are_not_connected_do_not(tmp_path):
    assert math.isnan(temperature_c(tmp_path))
    for i, content in enumerate((45000, 61500, -256000, 2**31 - 1, "garbage", "")):
        put(tmp_path, {f"class/thermal/thermal_zone{i}/temp": content})
    assert temperature_c(tmp_path) == 61.5


def test_throttling_is_seen_once_in_its_counters(tmp_path):
    counter = f"{CPU}cpu0/thermal_throttle/core_throttle_count"
    put(tmp_path, {counter: 3, f"{CPU}cpu1/thermal_throttle/package_throttle_count": "garbage"})
    throttling = Throttling(tmp_path)
    assert not throttling.now()
    put(tmp_path, {counter: 4})
    assert throttling.now() and not throttling.now()


def test_a_frequency_limit_below_what_the_processor_can_do_is_throttling(tmp_path):
    put(tmp_path, {f"{CPU}cpufreq/policy0/scaling_max_freq": 2000, f"{CPU}cpufreq/policy0/cpuinfo_max_freq": 2000})
    throttling = Throttling(tmp_path)
    assert not throttling.now()
    put(tmp_path, {f"{CPU}cpufreq/policy0/scaling_max_freq": 1200})
    assert throttling.now()


COOLING = [("Processor", 0, False), ("cpu-throttle", 2, True), ("cpufreq-cpu0", "x", False), ("pwm-fan", 3, False)]


@pytest.mark.parametrize(("kind", "state", "expected"), COOLING)
def test_a_cooling_device_of_the_processor_that_is_on_is_throttling(tmp_path, kind, state, expected):
    put(tmp_path, {"class/thermal/cooling_device0/type": kind, "class/thermal/cooling_device0/cur_state": state})
    assert Throttling(tmp_path).now() == expected


def test_a_flat_battery_is_a_reason_to_rest_until_it_is_a_little_fuller():
    limits = Limits(battery_floor=0.2)
    assert limits.reason_to_rest(0.2, math.nan) == ""
    assert limits.reason_to_rest(0.19, math.nan) == "rests: battery at 19%, floor 20%"
    assert limits.reason_to_rest(0.2 + FULLER / 2, math.nan)
    assert limits.reason_to_rest(math.nan, math.nan)  # unknown changes nothing
    assert limits.reason_to_rest(0.2 + FULLER, math.nan) == ""


def test_heat_is_a_reason_to_rest_until_it_is_a_little_cooler():
    limits = Limits(max_temperature_c=85.0)
    assert limits.reason_to_rest(math.nan, 85.0) == ""
    assert limits.reason_to_rest(0.0, 85.6) == "rests: 86 °C, limit 85 °C"
    assert limits.reason_to_rest(math.nan, 85.0 - COOLER_C + 1)
    assert limits.reason_to_rest(math.nan, 85.0 - COOLER_C) == ""


def test_without_limits_there_is_no_rest():
    assert Limits().reason_to_rest(0.0, 149.0) == ""
