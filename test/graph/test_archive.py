"""A `.pt2` file that would run code is refused before torch reads it."""

import json
import shutil
import zipfile

import pytest
import torch
from torch import nn

from coedge_ros.errors import ModelError
from coedge_ros.graph.archive import load_archive, program_input

torch.set_num_threads(1)


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(nn.Conv2d(3, 4, 3).eval(), (torch.randn(1, 3, 8, 9),)), path)
    return path


def _rewritten(path, change):
    """Return a copy of the archive with `change(name, bytes) -> bytes` applied to its files."""
    other = path.with_name("other.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for info in source.infolist():
            target.writestr(info, change(info.filename.split("/", 1)[1], source.read(info)))
    return other


def _with_json(path, name, edit):
    def change(found, content):
        if found != name:
            return content
        data = json.loads(content)
        edit(data)
        return json.dumps(data).encode()

    return _rewritten(path, change)


def test_a_clean_archive_loads_also_when_it_was_written_again(archive):
    assert program_input(load_archive(archive)) == ((8, 9), True)
    assert program_input(load_archive(_rewritten(archive, lambda name, content: content))) == ((8, 9), True)


def test_pickled_weights_are_refused(archive):
    def edit(data):
        for entry in data["config"].values():
            entry["use_pickle"] = True

    with pytest.raises(ModelError, match="pickled weights"):
        load_archive(_with_json(archive, "data/weights/model_weights_config.json", edit))


@pytest.mark.parametrize("target", ["torch.hub.load", "torch.ops.load_library", "os.system", "torch._C.x", "_operator"])
def test_functions_that_are_no_operators_are_refused(archive, target):
    def edit(data):
        data["graph_module"]["graph"]["nodes"][0]["target"] = target

    with pytest.raises(ModelError, match="is not a tensor operator"):
        load_archive(_with_json(archive, "models/model.json", edit))


@pytest.mark.parametrize(
    "expression", ["__import__('os').system('true')", "().__class__", "Symbol('s0').foo", "exec('s0')", "s0.x"]
)
def test_size_expressions_that_are_not_arithmetic_are_refused(archive, expression):
    def edit(data):
        sizes = next(iter(data["graph_module"]["graph"]["tensor_values"].values()))["sizes"]
        sizes[0] = {"as_expr": {"expr_str": expression, "hint": None}}

    with pytest.raises(ModelError, match="not arithmetic"):
        load_archive(_with_json(archive, "models/model.json", edit))


@pytest.mark.parametrize(
    "name", ["data/aotinductor/model/x.so", "data/constants/custom_obj_0", "data/constants/opaque_obj_0", "code.py"]
)
def test_compiled_code_and_objects_are_refused(archive, name):
    other = archive.with_name("other.pt2")
    shutil.copy(archive, other)
    with zipfile.ZipFile(other, "a") as target:
        target.writestr(f"net/{name}", b"x")
    with pytest.raises(ModelError, match="is code"):
        load_archive(other)


def test_pickled_sample_inputs_are_refused(archive):
    def change(name, content):
        return b"\x80\x04cposix\nsystem\n(S'true'\ntR." if name.startswith("data/sample_inputs/") else content

    with pytest.raises(ModelError, match="pickled sample inputs"):
        load_archive(_rewritten(archive, change))


def test_a_damaged_archive_is_one_line_without_torchs_traceback(archive, caplog, capfd):
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="is not a torch.export archive") as caught:
        load_archive(archive)
    other = archive.with_name("other.pt2")
    with zipfile.ZipFile(other, "w") as target:
        target.writestr("net/models/model.json", "{}")
    with pytest.raises(ModelError, match=r"cannot load .*torch\.export\.save") as second:
        load_archive(other)
    assert "\n" not in str(caught.value) + str(second.value)
    assert "Traceback" not in capfd.readouterr().err + caplog.text


def test_archives_that_take_no_single_image_are_refused(tmp_path):
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    path = tmp_path / "two.pt2"
    torch.export.save(torch.export.export(Two(), (torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))), path)
    with pytest.raises(ModelError, match=r"takes one image of shape \(N, 3, H, W\); this archive takes \(1, 3, 4, 4\)"):
        program_input(load_archive(path))


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(3), nn.Dropout(), nn.Dropout(inplace=True)])
def test_layers_that_were_exported_for_training_are_refused(tmp_path, layer):
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(nn.Sequential(nn.Conv2d(3, 3, 1), layer), (torch.zeros(2, 3, 4, 4),)), path)
    with pytest.raises(ModelError, match="training mode"):
        load_archive(path)
