"""Measurements on disk: found again for the same thing only, and never the cause of a failure."""

import os
from dataclasses import replace

import pytest

from coedge_ros.profiling import cache
from coedge_ros.profiling.cache import Key, hardware

KEY = Key("speed", "d" * 64, 224, 224, "cpu", "2.13.0", (1,), "a processor")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COEDGE_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_what_was_kept_is_found_again_and_nothing_else_lies_about(folder):
    assert KEY.read() is None
    KEY.keep({"macs_per_s": 5e9})
    KEY.keep({"macs_per_s": 6e9})
    assert KEY.read() == {"macs_per_s": 6e9}
    assert [path.name for path in folder.iterdir()] == [KEY.file.name]


OTHERS = {"what": "stages", "digest": "e" * 64, "height": 96, "width": 96, "device": "cuda:0", "torch": "2.14.0",
          "threads": (1, 1), "hardware": "another"}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_measurement_of_something_else_is_not_taken(name):
    KEY.keep(1.0)
    assert replace(KEY, **{name: OTHERS[name]}).read() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"key": 1, "measured": 2}'])
def test_a_broken_file_is_as_good_as_none_and_is_replaced(content):
    KEY.keep(1.0)
    KEY.file.write_bytes(content)
    assert KEY.read() is None
    KEY.keep(2.0)
    assert KEY.read() == 2.0


def test_a_file_of_another_measurement_under_this_name_is_not_taken():
    other = replace(KEY, height=96)
    other.keep(1.0)
    os.replace(other.file, KEY.file)
    assert KEY.read() is None


def test_a_folder_that_cannot_be_made_is_no_failure(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COEDGE_CACHE_DIR", str(tmp_path / "file" / "below"))
    KEY.keep(1.0)
    assert KEY.read() is None


def test_the_oldest_files_make_room(folder, monkeypatch):
    monkeypatch.setattr(cache, "MOST_FILES", 3)
    for height in range(1, 6):
        key = replace(KEY, height=height)
        key.keep(height)
        os.utime(key.file, (height, height))
    assert [replace(KEY, height=h).read() for h in range(1, 6)] == [None, None, 3, 4, 5]


def test_the_hardware_is_told_the_same_way_each_time():
    assert hardware() == hardware() and "cores" in hardware()
