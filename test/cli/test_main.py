"""The command line without a cluster."""

import argparse
import importlib

import pytest

from coedge_ros.cli.bench_report import interval
from coedge_ros.cli.main import COMMANDS, main
from coedge_ros.cli.up import input_size
from coedge_ros.errors import UserError


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_arguments_with_help_and_runs_something(name):
    module = importlib.import_module(f"coedge_ros.cli.{name}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    assert all(action.help for action in parser._actions)
    assert callable(module.run)


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_the_users_mistake_is_one_line_and_code_2(capsys):
    assert main(["up", "--input", "large"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "480x640" in error


def test_sizes_are_rows_by_columns():
    assert input_size("480x640") == (480, 640)
    assert input_size("") == (0, 0)
    with pytest.raises(UserError, match="rows x columns"):
        input_size("480")


def test_the_interval_holds_the_median_and_narrows_with_agreement():
    low, high = interval([1.0, 1.1, 0.9, 1.0, 1.05, 0.95])
    assert low <= 1.0 <= high and high - low < 0.2
    assert interval([2.0] * 5) == [2.0, 2.0]
