"""Which frames become files."""

import cv2
import numpy as np
import pytest

from coedge_ros.drawing.saving import PictureSaver, save_picture
from coedge_ros.errors import UserError


def saved_names(saver, names):
    return [path.name for name in names if (path := saver.path_for(name)) is not None]


def test_each_picture_is_saved_once_however_often_it_comes(tmp_path):
    saver = PictureSaver(tmp_path, 25, 100, "jpg")
    assert saved_names(saver, ["chelsea.png", "coffee.png"] * 5) == ["chelsea.jpg", "coffee.jpg"]


def test_of_a_video_the_first_and_every_so_manieth_frame_is_saved(tmp_path):
    saver = PictureSaver(tmp_path, 3, 100, "png")
    names = saved_names(saver, [f"bikes.mp4#{number}" for number in range(8)])
    assert names == ["bikes_00000.png", "bikes_00003.png", "bikes_00006.png"]


def test_a_camera_without_names_is_treated_as_a_video(tmp_path):
    assert saved_names(PictureSaver(tmp_path, 2, 100, "jpg"), [""] * 4) == ["camera_00000.jpg", "camera_00002.jpg"]


def test_there_is_a_limit(tmp_path):
    assert len(saved_names(PictureSaver(tmp_path, 1, 3, "jpg"), [f"v.mp4#{n}" for n in range(50)])) == 3
    assert saved_names(PictureSaver(tmp_path, 1, 0, "jpg"), ["a.png"]) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "/tmp/a b.png", "..", "a\nb.png", "\x00"])
def test_a_name_cannot_leave_the_folder(tmp_path, name):
    path = PictureSaver(tmp_path, 1, 10, "jpg").path_for(name)
    assert path.parent == tmp_path and path.name.endswith(".jpg")
    save_picture(path, np.zeros((4, 4, 3), np.uint8))
    assert path.resolve().parent == tmp_path.resolve()


def test_saved_pixels_are_read_back_as_rgb(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    save_picture(tmp_path / "a.png", rgb)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], rgb)


def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="parameter output_dir: .*cannot be made"):
        PictureSaver(tmp_path / "file" / "below", 1, 1, "jpg")


def test_a_picture_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match="a.png cannot be written"):
        save_picture(tmp_path / "missing" / "a.png", np.zeros((4, 4, 3), np.uint8))
