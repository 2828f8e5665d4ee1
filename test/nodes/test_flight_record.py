"""What a worker was doing when it was killed can be read afterwards."""

import pytest

from coedge_ros.errors import UserError
from coedge_ros.execution.fragment import FrameKey
from coedge_ros.nodes.flight_record import FlightRecord, read_flight_record


def test_the_file_says_at_which_stage_of_which_frame_it_is(tmp_path):
    record = FlightRecord(tmp_path / "worker_1")
    assert read_flight_record(tmp_path / "worker_1") is None
    record.stage(FrameKey(9, 1, 123), 4)
    assert read_flight_record(tmp_path / "worker_1") == (123, 4)
    record.stage(FrameKey(9, 1, 7), 0)
    assert read_flight_record(tmp_path / "worker_1") == (7, 0)
    record.idle()
    assert read_flight_record(tmp_path / "worker_1") is None


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="parameter flight_record"):
        FlightRecord(tmp_path / "nowhere" / "worker_1")
