"""Power meters on sysfs trees made for the test: wrap-around, missing files, garbage, what must not be read."""

import pytest

from coedge_ros.profiling.meters import InaMeter, ModelledPower, NoMeterError, RaplMeter, make_meter


def put(root, files: dict[str, object]):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


RAPL = "class/powercap/intel-rapl:{}/"


def packages(root, *energies_uj: object, around_uj: int = 262143328850):
    for i, energy_uj in enumerate(energies_uj):
        put(root, {RAPL.format(i) + "energy_uj": energy_uj, RAPL.format(i) + "max_energy_range_uj": around_uj})
    return root


def test_modelled_power_lies_between_idle_and_computing_as_the_load_does():
    meter = ModelledPower(idle_w=1.0, compute_w=5.0)
    assert meter.energy_j(100.0, 1.0) == 0.0
    assert meter.energy_j(102.0, 0.0) == 2.0
    assert meter.energy_j(103.0, 0.5) == 5.0
    assert meter.energy_j(103.0, 1.0) == 5.0


def test_rapl_counts_all_packages_and_none_of_their_parts(tmp_path):
    packages(tmp_path, 1_000_000, 5_000_000)
    put(tmp_path, {"class/powercap/intel-rapl:0:0/energy_uj": 7, "class/powercap/intel-rapl-mmio:0/energy_uj": 7})
    meter = RaplMeter(tmp_path)
    assert meter.energy_j(0.0, 0.0) == 0.0
    packages(tmp_path, 3_000_000, 5_500_000)
    assert meter.energy_j(1.0, 0.0) == pytest.approx(2.5)


def test_a_rapl_counter_that_starts_again_loses_nothing(tmp_path):
    meter = RaplMeter(packages(tmp_path, 9_000_000, around_uj=10_000_000))
    packages(tmp_path, 2_000_000, around_uj=10_000_000)
    assert meter.energy_j(1.0, 0.0) == pytest.approx(3.0)
    packages(tmp_path, 1_000_000, around_uj=0)  # a range that cannot be: count nothing rather than nonsense
    assert meter.energy_j(2.0, 0.0) == pytest.approx(3.0)


def test_a_rapl_reading_that_fails_counts_later(tmp_path):
    meter = RaplMeter(packages(tmp_path, 1_000_000))
    packages(tmp_path, "garbage")
    assert meter.energy_j(1.0, 0.0) == 0.0
    packages(tmp_path, 4_000_000)
    assert meter.energy_j(2.0, 0.0) == pytest.approx(3.0)


def hwmon(root, *rails: tuple[str, float, float], name: str = "ina3221"):
    files = {"class/hwmon/hwmon3/name": name}
    for i, (label, millivolts, milliamperes) in enumerate(rails, 1):
        start = "class/hwmon/hwmon3/"
        files |= {
            f"{start}in{i}_label": label,
            f"{start}in{i}_input": millivolts,
            f"{start}curr{i}_input": milliamperes,
        }
    return put(root, files)


def test_the_rail_of_the_whole_board_is_read_wherever_it_stands(tmp_path):
    put(tmp_path, {"class/hwmon/hwmon0/name": "coretemp", "class/hwmon/hwmon0/in1_input": 1})
    meter = InaMeter(hwmon(tmp_path, ("VDD_CPU_GPU_CV", 5000, 1000), ("VDD_IN", 19000, 500)))
    assert meter.power_w(0.0) == pytest.approx(9.5)
    meter.energy_j(10.0, 0.0)
    assert meter.energy_j(12.0, 0.0) == pytest.approx(19.0)


def test_a_sensor_that_gives_power_itself_is_read(tmp_path):
    put(tmp_path, {"class/hwmon/hwmon0/name": "ina219", "class/hwmon/hwmon0/power1_input": 2_500_000})
    assert InaMeter(tmp_path).power_w(0.0) == pytest.approx(2.5)


def test_the_driver_of_older_jetsons_is_read(tmp_path):
    start = "bus/i2c/drivers/ina3221x/6-0040/iio:device0/"
    put(tmp_path, {start + "rail_name_0": "POM_5V_GPU", start + "in_power0_input": 300,
                   start + "rail_name_1": "POM_5V_IN", start + "in_power1_input": 2100})  # fmt: skip
    assert InaMeter(tmp_path).power_w(0.0) == pytest.approx(2.1)


def test_a_reading_of_a_rail_that_fails_counts_as_nothing(tmp_path):
    meter = InaMeter(hwmon(tmp_path, ("VDD_IN", 5000, 1000)))
    meter.energy_j(0.0, 0.0)
    hwmon(tmp_path, ("VDD_IN", "", 1000))
    assert meter.energy_j(1.0, 0.0) == 0.0


def test_auto_takes_what_the_host_has(tmp_path):
    hwmon(tmp_path, ("VDD_IN", 5000, 1000))
    meter, text = make_meter("auto", 1.0, 5.0, tmp_path)
    assert (meter.source, text) == ("ina", "")
    packages(tmp_path, 1)
    meter, text = make_meter("auto", 1.0, 5.0, tmp_path)
    assert (meter.source, text) == ("rapl", "")
    assert make_meter("modelled", 1.0, 5.0, tmp_path)[0].source == "modelled"


@pytest.mark.parametrize("source", ["auto", "rapl", "ina"])
def test_where_there_is_no_meter_power_is_modelled_and_it_is_said_why(tmp_path, source):
    meter, text = make_meter(source, 1.0, 5.0, tmp_path)
    assert meter.source == "modelled" and text.startswith("power is modelled: no ")
    assert ("intel-rapl" in text) == (source != "ina") and ("INA" in text) == (source != "rapl")


@pytest.mark.parametrize("broken", ["a folder", "garbage", "nothing"])
def test_a_counter_that_cannot_be_read_is_no_meter_and_the_text_says_what_to_do(tmp_path, broken):
    """A folder in place of the file: root may read everything, so permissions cannot be tested as root."""
    file = packages(tmp_path, 1) / (RAPL.format(0) + "energy_uj")
    if broken == "garbage":
        file.write_text("not a number")
    else:
        file.unlink()
        if broken == "a folder":
            file.mkdir()
    with pytest.raises(NoMeterError, match="cannot be read: allow it, or run as root"):
        RaplMeter(tmp_path)
    assert make_meter("rapl", 1.0, 5.0, tmp_path)[0].source == "modelled"


def test_permission_denied_is_no_meter(tmp_path, monkeypatch):
    packages(tmp_path, 1)

    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", deny)
    assert "cannot be read" in make_meter("rapl", 1.0, 5.0, tmp_path)[1]
