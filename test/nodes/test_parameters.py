"""Parameters: values checked with a sentence for people, descriptors that `ros2 param describe` shows."""

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from coedge_ros.errors import UserError
from coedge_ros.nodes.parameters import Parameter, declare_parameters

RATE = Parameter("rate_hz", 10.0, "How often.", "Hz", 0.5, 100.0)
COUNT = Parameter("count", 3, "How many.", minimum=0)
LOOP = Parameter("loop", False, "Again and again.")
MODE = Parameter("mode", "fast", "How.", choices=("fast", "good"), read_only=True)
NAMES = Parameter("names", (), "Who.")
ALL = (RATE, COUNT, LOOP, MODE, NAMES)


def make_node(ros, **overrides):
    options = [RosParameter(name, value=value) for name, value in overrides.items()]
    return ros.node(Node, "sample", parameter_overrides=options)


def test_defaults_are_read_into_a_dict(ros):
    values = declare_parameters(make_node(ros), ALL)
    assert values == {"rate_hz": 10.0, "count": 3, "loop": False, "mode": "fast", "names": ()}


def test_overrides_win_and_a_whole_number_is_taken_for_a_float(ros):
    values = declare_parameters(make_node(ros, rate_hz=20, mode="good", names=["a", "b"]), ALL)
    assert values["rate_hz"] == 20.0 and type(values["rate_hz"]) is float
    assert values["mode"] == "good" and values["names"] == ("a", "b")


@pytest.mark.parametrize(
    "name,value,said",
    [
        ("rate_hz", 0.1, r"rate_hz \[Hz\] must be at least 0.5 and at most 100.0, not 0.1"),
        ("rate_hz", float("nan"), "rate_hz"),
        ("rate_hz", "often", "must be a number, not 'often'"),
        ("count", -1, "count must be at least 0, not -1"),
        ("count", 1.5, "must be a whole number"),
        ("count", True, "must be a whole number"),
        ("loop", 1, "must be true or false"),
        ("mode", "best", "must be one of fast, good, not 'best'"),
        ("names", "a", "must be a list of texts"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_name_and_what_fits(ros, name, value, said):
    with pytest.raises(UserError, match=said):
        declare_parameters(make_node(ros, **{name: value}), ALL)


def test_the_dict_follows_a_change_and_a_refused_change_leaves_it(ros):
    node = make_node(ros)
    values = declare_parameters(node, ALL)
    assert node.set_parameters([RosParameter("count", value=7)])[0].successful
    assert values["count"] == 7
    assert node.set_parameters([RosParameter("rate_hz", value=4)])[0].successful
    assert values["rate_hz"] == 4.0
    for name, value in [("count", -1), ("rate_hz", 1000.0), ("mode", "good"), ("loop", 3)]:
        result = node.set_parameters([RosParameter(name, value=value)])[0]
        assert not result.successful and result.reason
    assert (values["count"], values["rate_hz"], values["mode"], values["loop"]) == (7, 4.0, "fast", False)


def test_a_choice_is_refused_at_run_time_with_the_reason_in_the_result(ros):
    node = make_node(ros)
    values = declare_parameters(node, [Parameter("mode", "fast", "How.", choices=("fast", "good"))])
    result = node.set_parameters([RosParameter("mode", value="best")])[0]
    assert not result.successful and result.reason == "parameter mode must be one of fast, good, not 'best'"
    assert values["mode"] == "fast"


def test_the_descriptor_tells_text_unit_range_and_choices(ros):
    node = make_node(ros)
    declare_parameters(node, ALL)
    rate = node.describe_parameter("rate_hz")
    assert rate.description == "How often. [Hz]"
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (0.5, 100.0)
    assert node.describe_parameter("count").integer_range[0].from_value == 0
    mode = node.describe_parameter("mode")
    assert mode.read_only and mode.additional_constraints == "one of fast, good"


def test_a_default_that_its_own_range_refuses_cannot_be_written():
    with pytest.raises(UserError):
        Parameter("rate_hz", 0.0, "How often.", "Hz", 0.5)
